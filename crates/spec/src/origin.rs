//! Where in the text of a statement something stands.

use std::fmt;
use std::sync::Arc;

use crate::{Error, QueryContext};

/// The place of an expression or a name in the text it was parsed from. All origins are equal: what is the same in two places is
/// the same, and plans compare without them.
#[derive(Clone, Default)]
pub struct Origin(Option<Box<Place>>);

#[derive(Clone)]
enum Place {
    Text {
        text: Arc<str>,
        /// Bytes, the last excluded.
        start: usize,
        end: usize,
    },
    /// A function of the DataFrame API, and where a program called it.
    Call { function: String, site: String },
}

/// Of what was never written.
pub(crate) static UNKNOWN: Origin = Origin(None);

impl Origin {
    pub fn new(text: &Arc<str>, start: usize, end: usize) -> Self {
        Self(Some(Box::new(Place::Text { text: Arc::clone(text), start, end })))
    }

    pub fn of_call(function: String, site: String) -> Self {
        Self(Some(Box::new(Place::Call { function, site })))
    }

    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Sets the place where none is known yet.
    pub fn or(&mut self, place: &Origin) {
        if self.0.is_none() {
            self.0.clone_from(&place.0);
        }
    }

    fn context(&self) -> Option<QueryContext> {
        match self.0.as_deref()? {
            Place::Text { text, start, end } => {
                let fragment = text.get(*start..*end)?;
                let start = text[..*start].chars().count();
                Some(QueryContext {
                    start,
                    stop: (start + fragment.chars().count()).saturating_sub(1),
                    fragment: fragment.to_string(),
                    text: Arc::clone(text),
                    ..QueryContext::default()
                })
            }
            Place::Call { function, site } => Some(QueryContext {
                fragment: function.clone(),
                call_site: site.clone(),
                ..QueryContext::default()
            }),
        }
    }
}

impl Error {
    /// The error with the place it is about, where it does not say one already.
    pub fn at(self, origin: &Origin) -> Self {
        match origin.context() {
            Some(context) if self.contexts().is_empty() && !self.has_detail() => self.context(context),
            _ => self,
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_innermost_place() {
        let text: Arc<str> = Arc::from("SELECT ä, 1 / 0");
        let division = Origin::new(&text, 11, 16);
        let error = Error::new("DIVIDE_BY_ZERO").at(&division).at(&Origin::new(&text, 0, 16));
        let [context] = error.contexts() else { panic!("one context") };
        assert_eq!((context.start, context.stop, context.fragment.as_str()), (10, 14, "1 / 0"));
        assert!(
            error.to_string().ends_with("== SQL (line 1, position 11) ==\nSELECT ä, 1 / 0\n          ^^^^^")
        );
    }
}
