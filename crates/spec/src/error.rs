//! The one error type of the project.

use std::fmt;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The fragment of SQL text an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryContext {
    pub object_type: String,
    pub object_name: String,
    /// Offsets in characters into the text, first and last included.
    pub start: usize,
    pub stop: usize,
    pub fragment: String,
    pub call_site: String,
    /// The whole text; empty where it is not known.
    pub text: Arc<str>,
}

impl QueryContext {
    /// The fragment in its text, a caret under each of its characters (Spark's `SQLQueryContext.summary`).
    pub fn summary(&self) -> String {
        if !self.call_site.is_empty() {
            return format!("== DataFrame ==\n\"{}\" was called from\n{}", self.fragment, self.call_site);
        }
        let Some(offset) = self.text.char_indices().nth(self.start).map(|(i, _)| i) else {
            return format!("== SQL ==\n{}", self.fragment);
        };
        let line = self.text[..offset].matches('\n').count() + 1;
        let line_start = self.text[..offset].rfind('\n').map_or(0, |i| i + 1);
        let position = self.text[line_start..offset].chars().count();
        let mut out = format!("== SQL (line {line}, position {}) ==", position + 1);
        // Characters before the present line.
        let mut before = self.text[..line_start].chars().count();
        for line in self.text[line_start..].split('\n') {
            if before > self.stop {
                break;
            }
            let length = line.chars().count();
            let from = self.start.saturating_sub(before).min(length);
            let to = (self.stop + 1 - before).min(length);
            out.push_str(&format!("\n{line}\n{}{}", " ".repeat(from), "^".repeat(to.saturating_sub(from))));
            before += length + 1;
        }
        out
    }
}

impl Default for QueryContext {
    fn default() -> Self {
        Self {
            object_type: String::new(),
            object_name: String::new(),
            start: 0,
            stop: 0,
            fragment: String::new(),
            call_site: String::new(),
            text: Arc::from(""),
        }
    }
}

/// An error with Spark's error class (`TABLE_OR_VIEW_NOT_FOUND`, `DIVIDE_BY_ZERO`,
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`), its SQLSTATE and its message parameters.
///
/// `Display` gives Spark's form: `[CLASS] message SQLSTATE: 22012`.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    class: String,
    message: String,
    parameters: Vec<(String, String)>,
    contexts: Vec<QueryContext>,
    exception: Option<&'static str>,
    cause: Option<String>,
    detail: Option<String>,
}

impl Error {
    pub fn new(class: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                class: class.into(),
                message: String::new(),
                parameters: Vec::new(),
                contexts: Vec::new(),
                exception: None,
                cause: None,
                detail: None,
            }),
        }
    }

    /// A broken invariant of ours. The user can do nothing about it but report it.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("INTERNAL_ERROR").message(message)
    }

    /// A feature that is not supported (yet): named, never silently ignored.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new("UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE")
            .param("feature", what.to_string())
            .message(format!("Boathouse does not support {what} yet. See docs/limitations.md."))
    }

    /// A column of a batch of rows beyond the 2 GiB that its places are counted to.
    pub fn batch_too_large() -> Self {
        Self::new("UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE")
            .param("feature", "more than 2 GiB in one column of a batch of rows")
            .message(
                "One batch of rows has more than 2 GiB in one column. Make batches of fewer rows: set \
                 spark.sql.parquet.columnarReaderBatchSize to 1000 or less (it is 8192 where it is not set).",
            )
    }

    /// A failure of the system below (disk, network, object store), with what was being done.
    pub fn io(doing: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new("FAILED_IO").message(format!("Failed while {doing}: {cause}"))
    }

    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.inner.message = message.into();
        self
    }

    pub fn param(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.inner.parameters.push((key.to_string(), value.to_string()));
        self
    }

    pub fn context(mut self, context: QueryContext) -> Self {
        self.inner.contexts.push(context);
        self
    }

    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.inner.cause = Some(cause.to_string());
        self
    }

    /// Names the Python exception class to raise where the error class alone does not tell
    /// (`ParseException`, `AnalysisException`, `StreamingQueryException`, ...).
    pub fn exception(mut self, name: &'static str) -> Self {
        self.inner.exception = Some(name);
        self
    }

    /// Text to show after the SQLSTATE in place of the query contexts: where in the source a parse error is.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    /// The same error, its message beginning with where it arose: a file, a flow.
    pub fn located(mut self, place: &str) -> Self {
        self.inner.message = format!("In {place}: {}", self.inner.message);
        self
    }

    /// The class, with its subclass: `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
    pub fn class(&self) -> &str {
        &self.inner.class
    }

    pub fn is(&self, class: &str) -> bool {
        self.inner.class == class || self.inner.class.split('.').next() == Some(class)
    }

    pub fn sqlstate(&self) -> &'static str {
        crate::sqlstate(&self.inner.class)
    }

    /// The text without class and SQLSTATE.
    pub fn text(&self) -> &str {
        &self.inner.message
    }

    pub fn parameters(&self) -> &[(String, String)] {
        &self.inner.parameters
    }

    pub(crate) fn has_detail(&self) -> bool {
        self.inner.detail.is_some()
    }

    pub fn contexts(&self) -> &[QueryContext] {
        &self.inner.contexts
    }

    pub fn cause(&self) -> Option<&str> {
        self.inner.cause.as_deref()
    }

    pub fn exception_name(&self) -> Option<&'static str> {
        self.inner.exception
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.inner.class, self.inner.message)?;
        let state = self.sqlstate();
        if !state.is_empty() {
            write!(f, " SQLSTATE: {state}")?;
        }
        if let Some(detail) = &self.inner.detail {
            write!(f, " {detail}")?;
        }
        for context in self.inner.contexts.iter().filter(|_| self.inner.detail.is_none()) {
            write!(f, "\n{}", context.summary())?;
        }
        if let Some(cause) = &self.inner.cause {
            write!(f, "\nCaused by: {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
