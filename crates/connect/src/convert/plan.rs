//! The envelope of a request's plan.

use std::io::Read;

use boathouse_spec::{Error, Result};
use prost::{Message, Name};

use super::read::cannot_parse;
use super::{invalid_plan, not_set, unknown_enum};
use crate::nesting::{MAX_DEPTH, is_shallow};
use crate::proto::spark::{self as proto, plan::OpType};

/// What a plan may grow to when it is decompressed (Spark's `spark.connect.maxPlanSize`).
const MAX_PLAN_BYTES: u64 = 512 << 20;

/// A relation to compute, or a command to run.
#[derive(Debug)]
pub enum PlanMessage {
    Relation(proto::Relation),
    Command(Box<proto::Command>),
}

/// Takes the plan out of its envelope, decompressed if need be.
pub fn open_plan(plan: Option<proto::Plan>) -> Result<PlanMessage> {
    let plan = plan.unwrap_or_default();
    match plan.op_type.ok_or_else(|| not_set("spark.connect.Plan", "OPTYPE_NOT_SET"))? {
        OpType::Root(relation) => Ok(PlanMessage::Relation(relation)),
        OpType::Command(command) => Ok(PlanMessage::Command(Box::new(command))),
        OpType::CompressedOperation(compressed) => decompress(&compressed),
    }
}

fn decompress(message: &proto::plan::CompressedOperation) -> Result<PlanMessage> {
    use proto::plan::compressed_operation::OpType;
    if proto::CompressionCodec::try_from(message.compression_codec) != Ok(proto::CompressionCodec::Zstd) {
        return Err(unknown_enum("spark.connect.CompressionCodec", message.compression_codec));
    }
    let decoder = zstd::stream::read::Decoder::new(message.data.as_slice()).map_err(|e| cannot_parse(&e))?;
    let mut bytes = Vec::new();
    decoder.take(MAX_PLAN_BYTES + 1).read_to_end(&mut bytes).map_err(|e| cannot_parse(&e))?;
    if bytes.len() as u64 > MAX_PLAN_BYTES {
        return Err(invalid_plan("PLAN_SIZE_LARGER_THAN_MAX")
            .param("planSize", "unknown")
            .param("maxPlanSize", MAX_PLAN_BYTES)
            .message(format!("The decompressed plan is larger than {MAX_PLAN_BYTES} bytes.")));
    }
    match OpType::try_from(message.op_type) {
        Ok(OpType::Relation) => decode(&bytes).map(PlanMessage::Relation),
        Ok(OpType::Command) => decode(&bytes).map(|c| PlanMessage::Command(Box::new(c))),
        _ => Err(unknown_enum("spark.connect.Plan.CompressedOperation.OpType", message.op_type)),
    }
}

/// Decodes a message that was inside another as bytes.
pub(super) fn decode<M: Message + Name + Default>(bytes: &[u8]) -> Result<M> {
    if !is_shallow(&M::full_name(), bytes, MAX_DEPTH) {
        return Err(too_deep());
    }
    M::decode(bytes).map_err(|e| cannot_parse(&e))
}

fn too_deep() -> Error {
    cannot_parse(&format!("it nests messages deeper than {MAX_DEPTH} levels"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::plan::compressed_operation;

    fn compressed(data: Vec<u8>) -> Option<proto::Plan> {
        let operation = proto::plan::CompressedOperation {
            data,
            op_type: compressed_operation::OpType::Relation.into(),
            compression_codec: proto::CompressionCodec::Zstd.into(),
        };
        Some(proto::Plan { op_type: Some(OpType::CompressedOperation(operation)) })
    }

    #[test]
    fn compressed_plans_are_read() {
        let relation = proto::Relation {
            common: None,
            rel_type: Some(proto::relation::RelType::Range(proto::Range {
                end: 3,
                step: 1,
                ..Default::default()
            })),
        };
        let data = zstd::encode_all(relation.encode_to_vec().as_slice(), 3).unwrap_or_default();
        assert!(matches!(open_plan(compressed(data)), Ok(PlanMessage::Relation(r)) if r == relation));
    }

    #[test]
    fn rubbish_is_an_error_the_client_knows() {
        let error = open_plan(compressed(vec![1, 2, 3]));
        assert!(error.is_err_and(|e| e.class() == "CONNECT_INVALID_PLAN.CANNOT_PARSE"));
        assert!(open_plan(None).is_err_and(|e| e.parameters()[1].1 == "OPTYPE_NOT_SET"));
    }
}
