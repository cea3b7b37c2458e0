//! Errors on their way to the client.
//!
//! A failed call ends with the gRPC status INTERNAL, whose details name the exception and the error class. Details are
//! trailers, which are small; so the full message, its parameters and the fragments of the query wait here under an id
//! until the client fetches them.

use std::collections::{BTreeMap, VecDeque};

use boathouse_spec::{Error, QueryContext};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::exceptions::hierarchy;
use crate::proto::rpc;
use crate::proto::spark::fetch_error_details_response as proto;

/// Trailers must stay under 8 KiB, each byte of the message counts twice: as itself and in the details.
const MAX_MESSAGE_BYTES: usize = 1536;
const MAX_DETAIL_BYTES: usize = 1024;
/// Errors kept for fetching.
const MAX_KEPT: usize = 1024;

/// An argument that is wrong in itself, without an error class, as Java's `require` throws it.
pub fn illegal_argument(message: impl Into<String>) -> Error {
    Error::new("").exception("IllegalArgumentException").message(message)
}

/// A request that no client of ours makes, without an error class.
pub fn unsupported_operation(message: impl Into<String>) -> Error {
    Error::new("").exception("UnsupportedOperationException").message(message)
}

/// The message a user sees: the error's own form, or the bare text where there is no class.
pub fn message_text(error: &Error) -> String {
    let text = if error.class().is_empty() { error.text().to_string() } else { error.to_string() };
    match error.exception_name() {
        Some("PickleException") => format!("net.razorvine.pickle.PickleException: {text}"),
        _ => text,
    }
}

/// The errors that clients may still ask about.
#[derive(Default)]
pub struct Failures {
    kept: Mutex<VecDeque<(String, String, Error)>>,
}

impl Failures {
    /// Keeps the error for the session and makes the status that tells of it.
    pub fn status(&self, session: &str, error: Error) -> Status {
        self.status_of(Code::Internal, session, error)
    }

    /// A status of another code than that of failed requests.
    pub fn status_of(&self, code: Code, session: &str, error: Error) -> Status {
        let id = Uuid::new_v4().to_string();
        let status = status(code, &error, &id);
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((session.to_string(), id, error));
        status
    }

    /// An error of the session, once.
    pub fn take(&self, session: &str, id: &str) -> Option<Error> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(s, i, _)| s == session && i == id)?;
        kept.remove(at).map(|(_, _, error)| error)
    }
}

fn status(code: Code, error: &Error, id: &str) -> Status {
    let classes = hierarchy(error);
    let mut metadata = BTreeMap::from([("errorId".to_string(), id.to_string())]);
    let mut add = |key: &str, value: String| {
        if value.len() <= MAX_DETAIL_BYTES {
            metadata.insert(key.to_string(), value);
        }
    };
    add("classes", serde_json::to_string(&classes).unwrap_or_default());
    if !error.class().is_empty() {
        add("errorClass", error.class().to_string());
        if !error.sqlstate().is_empty() {
            add("sqlState", error.sqlstate().to_string());
        }
        add("messageParameters", parameters_json(error));
    }
    let info = rpc::ErrorInfo {
        reason: classes.first().copied().unwrap_or_default().to_string(),
        domain: "org.apache.spark".into(),
        metadata,
    };
    let message = shortened(&message_text(error));
    let details = rpc::Status {
        code: code as i32,
        message: message.clone(),
        details: vec![prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
            value: info.encode_to_vec(),
        }],
    };
    Status::with_details(code, message, Bytes::from(details.encode_to_vec()))
}

fn parameters_json(error: &Error) -> String {
    let parameters: serde_json::Map<_, _> =
        error.parameters().iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone()))).collect();
    serde_json::Value::Object(parameters).to_string()
}

/// Cuts a message so that it fits into a trailer, where a byte outside ASCII takes three.
fn shortened(message: &str) -> String {
    let mut out = String::new();
    let mut bytes = 0;
    for c in message.chars() {
        bytes += if c.is_ascii() && !c.is_ascii_control() { 1 } else { 3 * c.len_utf8() };
        if bytes > MAX_MESSAGE_BYTES {
            out.push_str("...");
            break;
        }
        out.push(c);
    }
    out
}

/// All that is known about an error; its cause follows it.
pub fn error_messages(error: &Error) -> Vec<proto::Error> {
    let mut errors = vec![proto::Error {
        error_type_hierarchy: hierarchy(error).into_iter().map(String::from).collect(),
        message: message_text(error),
        stack_trace: Vec::new(),
        cause_idx: None,
        spark_throwable: (!error.class().is_empty()).then(|| proto::SparkThrowable {
            error_class: Some(error.class().to_string()),
            message_parameters: error.parameters().iter().cloned().collect(),
            query_contexts: error.contexts().iter().map(context).collect(),
            sql_state: Some(error.sqlstate()).filter(|s| !s.is_empty()).map(String::from),
            breaking_change_info: None,
        }),
    }];
    if let Some(cause) = error.cause() {
        errors[0].cause_idx = Some(1);
        errors.push(proto::Error {
            error_type_hierarchy: hierarchy(&Error::new("")).into_iter().map(String::from).collect(),
            message: cause.to_string(),
            stack_trace: Vec::new(),
            cause_idx: None,
            spark_throwable: None,
        });
    }
    errors
}

fn context(c: &QueryContext) -> proto::QueryContext {
    use proto::query_context::ContextType;
    let is_dataframe = !c.call_site.is_empty();
    let summary = c.summary();
    proto::QueryContext {
        context_type: if is_dataframe { ContextType::Dataframe } else { ContextType::Sql }.into(),
        object_type: c.object_type.clone(),
        object_name: c.object_name.clone(),
        start_index: i32::try_from(c.start).unwrap_or(i32::MAX),
        stop_index: i32::try_from(c.stop).unwrap_or(i32::MAX),
        fragment: c.fragment.clone(),
        call_site: c.call_site.clone(),
        summary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_finds_class_state_and_parameters() {
        let failures = Failures::default();
        let error = Error::new("DIVIDE_BY_ZERO")
            .param("config", "\"spark.sql.ansi.enabled\"")
            .message("Division by zero.");
        let status = failures.status("s", error.clone());
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.message(), "[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012");
        let details = rpc::Status::decode(status.details()).unwrap_or_default();
        let info = rpc::ErrorInfo::decode(details.details[0].value.as_slice()).unwrap_or_default();
        assert_eq!(info.reason, "org.apache.spark.SparkArithmeticException");
        assert_eq!(info.metadata["errorClass"], "DIVIDE_BY_ZERO");
        assert_eq!(info.metadata["sqlState"], "22012");
        assert_eq!(info.metadata["messageParameters"], r#"{"config":"\"spark.sql.ansi.enabled\""}"#);
        assert!(failures.take("other", &info.metadata["errorId"]).is_none());
        assert_eq!(failures.take("s", &info.metadata["errorId"]), Some(error));
    }

    #[test]
    fn trailers_stay_small() {
        let error = Error::new("INTERNAL_ERROR").param("x", "ü".repeat(100_000)).message("ü".repeat(100_000));
        let status = Failures::default().status("s", error);
        assert!(status.message().len() * 3 + status.details().len() * 4 / 3 < 8000);
    }

    #[test]
    fn errors_without_a_class_are_bare() {
        let status = Failures::default().status("s", illegal_argument("no"));
        assert_eq!(status.message(), "no");
        assert!(error_messages(&illegal_argument("no"))[0].spark_throwable.is_none());
    }
}
