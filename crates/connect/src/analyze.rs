//! Questions about plans that run nothing.

use std::sync::Arc;

use boathouse_engine::Session;
use boathouse_spec::{ExplainMode, Plan, Relation, Result, StorageLevel};

use crate::convert::{
    Converter, PlanMessage, data_type_to_proto, invalid_plan, not_set, parse_type_text, storage_level,
};
use crate::failure::unsupported_operation;
use crate::proto::spark::analyze_plan_request::{self as request, Analyze, explain};
use crate::proto::spark::analyze_plan_response::{self as response, Result as Answer};
use crate::proto::spark::{self as proto};
use crate::uploads::Uploads;

/// The version clients see and compare with their own.
pub const SPARK_VERSION: &str = "4.2.0";

/// What Spark keeps a DataFrame at where the client does not say.
const MEMORY_AND_DISK: StorageLevel = StorageLevel {
    use_disk: true,
    use_memory: true,
    use_off_heap: false,
    deserialized: true,
    replication: 1,
};

pub struct Analysis {
    pub session: Arc<Session>,
}

impl Analysis {
    pub async fn answer(&self, question: Option<Analyze>) -> Result<Answer> {
        let session = &self.session;
        Ok(match question {
            Some(Analyze::Schema(q)) => {
                let relation = self.relation(q.plan)?;
                let schema = session.schema(&relation).await?;
                let schema = Some(data_type_to_proto(&boathouse_spec::DataType::Struct(schema)));
                Answer::Schema(response::Schema { schema })
            }
            Some(Analyze::Explain(q)) => {
                let mode = explain_mode(q.explain_mode)?;
                let relation = self.relation(q.plan)?;
                let explain_string = session.explain(&Plan::Query(relation), mode).await?;
                Answer::Explain(response::Explain { explain_string })
            }
            Some(Analyze::TreeString(q)) => {
                let relation = self.relation(q.plan)?;
                let level = q.level.and_then(|n| usize::try_from(n).ok());
                let tree_string = session.schema(&relation).await?.tree_string(level);
                Answer::TreeString(response::TreeString { tree_string })
            }
            Some(Analyze::IsLocal(q)) => {
                let relation = self.relation(q.plan)?;
                Answer::IsLocal(response::IsLocal { is_local: session.is_local(&relation).await? })
            }
            Some(Analyze::IsStreaming(q)) => {
                let relation = self.relation(q.plan)?;
                Answer::IsStreaming(response::IsStreaming {
                    is_streaming: session.is_streaming(&relation).await?,
                })
            }
            Some(Analyze::InputFiles(q)) => {
                let relation = self.relation(q.plan)?;
                Answer::InputFiles(response::InputFiles { files: session.input_files(&relation).await? })
            }
            Some(Analyze::SparkVersion(_)) => {
                Answer::SparkVersion(response::SparkVersion { version: SPARK_VERSION.into() })
            }
            Some(Analyze::DdlParse(q)) => {
                let parsed = Some(data_type_to_proto(&parse_type_text(&q.ddl_string)?));
                Answer::DdlParse(response::DdlParse { parsed })
            }
            Some(Analyze::JsonToDdl(q)) => {
                let ddl_string = boathouse_spec::StructType::from_json(&q.json_string)?.ddl();
                Answer::JsonToDdl(response::JsonToDdl { ddl_string })
            }
            Some(Analyze::SameSemantics(q)) => {
                let target = self.relation(q.target_plan)?;
                let other = self.relation(q.other_plan)?;
                Answer::SameSemantics(response::SameSemantics {
                    result: session.same_semantics(&target, &other).await?,
                })
            }
            Some(Analyze::SemanticHash(q)) => {
                let relation = self.relation(q.plan)?;
                Answer::SemanticHash(response::SemanticHash {
                    result: session.semantic_hash(&relation).await?,
                })
            }
            Some(Analyze::Persist(q)) => {
                let level = q.storage_level.map_or(MEMORY_AND_DISK, storage_level);
                session.persist(&self.bare_relation(q.relation)?, level).await?;
                Answer::Persist(response::Persist {})
            }
            Some(Analyze::Unpersist(q)) => {
                let blocking = q.blocking.unwrap_or(false);
                session.unpersist(&self.bare_relation(q.relation)?, blocking).await?;
                Answer::Unpersist(response::Unpersist {})
            }
            Some(Analyze::GetStorageLevel(q)) => {
                let level = session.storage_level(&self.bare_relation(q.relation)?).await?;
                let level = proto::StorageLevel {
                    use_disk: level.use_disk,
                    use_memory: level.use_memory,
                    use_off_heap: level.use_off_heap,
                    deserialized: level.deserialized,
                    replication: level.replication,
                };
                Answer::GetStorageLevel(response::GetStorageLevel { storage_level: Some(level) })
            }
            None => {
                return Err(invalid_plan("UNKNOWN_ANALYZE_METHOD")
                    .param("other", "ANALYZE_NOT_SET")
                    .message("The request says nothing that is to be analyzed."));
            }
        })
    }

    /// The relation of a plan; commands have nothing to analyze.
    fn relation(&self, plan: Option<proto::Plan>) -> Result<Relation> {
        let message = match crate::convert::open_plan(plan)? {
            PlanMessage::Relation(message) => message,
            PlanMessage::Command(_) => return Err(not_set("spark.connect.Relation", "RELTYPE_NOT_SET")),
        };
        self.bare_relation(Some(message))
    }

    fn bare_relation(&self, message: Option<proto::Relation>) -> Result<Relation> {
        Converter::new(&Uploads(&self.session)).relation(message.unwrap_or_default())
    }
}

fn explain_mode(number: i32) -> Result<ExplainMode> {
    use explain::ExplainMode as Mode;
    match request::explain::ExplainMode::try_from(number) {
        Ok(Mode::Simple) => Ok(ExplainMode::Simple),
        Ok(Mode::Extended) => Ok(ExplainMode::Extended),
        Ok(Mode::Codegen) => Ok(ExplainMode::Codegen),
        Ok(Mode::Cost) => Ok(ExplainMode::Cost),
        Ok(Mode::Formatted) => Ok(ExplainMode::Formatted),
        Ok(Mode::Unspecified) | Err(_) => {
            Err(unsupported_operation(format!("The mode {number} of explaining is not known.")))
        }
    }
}
