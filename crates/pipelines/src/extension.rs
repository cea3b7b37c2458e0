//! What our own client says beyond Spark's messages: `PipelineCommand.extension` with JSON inside. See `docs/pipelines.md`.

use std::collections::BTreeMap;

use boathouse_spec::{Error, Result, Violation};
use serde::Deserialize;

use crate::request::Extension;

const TYPE_URL: &str = "type.googleapis.com/boathouse.PipelineExtension";

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Message {
    /// Names the pipeline of a graph.
    Pipeline {
        graph_id: String,
        name: String,
        #[serde(default)]
        root: Option<String>,
        #[serde(default)]
        storage: Option<String>,
        #[serde(default)]
        configuration: BTreeMap<String, String>,
        #[serde(default = "yes")]
        development: bool,
        /// `json`: events of runs are rows of the event log as JSON, not text for people.
        #[serde(default)]
        events: Option<String>,
    },
    Dataset {
        graph_id: String,
        dataset: String,
        #[serde(default)]
        auto: bool,
        #[serde(default)]
        private: bool,
        #[serde(default)]
        path: Option<String>,
        #[serde(default)]
        row_filter: Option<String>,
    },
    Expectations {
        graph_id: String,
        dataset: String,
        rules: Vec<Rule>,
    },
    Flow {
        graph_id: String,
        flow: String,
        #[serde(default)]
        once: bool,
    },
    AutoCdc {
        flow: Option<String>,
        target: String,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Rule {
    pub name: String,
    pub condition: String,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Warn,
    Drop,
    Fail,
}

impl From<Action> for Violation {
    fn from(action: Action) -> Self {
        match action {
            Action::Warn => Self::Warn,
            Action::Drop => Self::Drop,
            Action::Fail => Self::Fail,
        }
    }
}

fn yes() -> bool {
    true
}

impl Message {
    pub fn read(extension: &Extension) -> Result<Self> {
        if extension.type_url != TYPE_URL {
            return Err(Error::new("CONNECT_INVALID_PLAN.NO_HANDLER_FOR_EXTENSION")
                .param("extensionTypeUrl", &extension.type_url)
                .message(format!(
                    "No part of the server understands the pipeline command {}.",
                    extension.type_url
                )));
        }
        serde_json::from_slice(&extension.value).map_err(|e| {
            Error::new("CONNECT_INVALID_PLAN.PIPELINE_EXTENSION")
                .message(format!("A pipeline command of the client cannot be understood: {e}."))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message> {
        Message::read(&Extension { type_url: TYPE_URL.to_string(), value: text.as_bytes().to_vec() })
    }

    #[test]
    fn messages() {
        let rules = read(
            r#"{"kind":"expectations","graph_id":"g","dataset":"t","rules":[{"name":"n","condition":"a > 0","action":"drop"}]}"#,
        );
        let Ok(Message::Expectations { rules, .. }) = rules else { panic!("{rules:?}") };
        assert_eq!(Violation::from(rules[0].action), Violation::Drop);
        assert!(matches!(
            read(r#"{"kind":"flow","graph_id":"g","flow":"f","once":true}"#),
            Ok(Message::Flow { once: true, .. })
        ));
        assert!(read(r#"{"kind":"nothing"}"#).is_err());
        assert!(read("").is_err());
    }
}
