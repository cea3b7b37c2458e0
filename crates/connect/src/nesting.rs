//! How deep the messages of a request nest, found out before anything recursive touches it.
//!
//! Decoding protobuf recurses, and so does all that follows. A request of a few megabytes can nest a million levels
//! and would overflow any stack, so its depth is measured first, over the bytes and without recursion, with the
//! message descriptors telling which fields hold messages. The limit is Spark's own for its gRPC server.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

/// Levels of messages in a request: Spark's `spark.connect.grpc.marshallerRecursionLimit`.
pub const MAX_DEPTH: usize = 1024;

/// For each message, the fields that hold messages, and which.
struct Shapes {
    by_name: HashMap<String, usize>,
    fields: Vec<HashMap<u32, usize>>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(include_bytes!("../proto/spark_connect.fds").as_slice())
        .unwrap_or_default();
    let mut shapes = Shapes { by_name: HashMap::new(), fields: Vec::new() };
    let mut pending = Vec::new();
    for file in &set.file {
        for message in &file.message_type {
            pending.push((format!("{}.{}", file.package(), message.name()), message));
        }
    }
    let mut messages = Vec::new();
    while let Some((name, message)) = pending.pop() {
        for nested in &message.nested_type {
            pending.push((format!("{name}.{}", nested.name()), nested));
        }
        shapes.by_name.insert(name, messages.len());
        messages.push(message);
    }
    for message in messages {
        let fields = message
            .field
            .iter()
            .filter(|f| f.r#type() == Type::Message)
            .filter_map(|f| {
                let target = shapes.by_name.get(f.type_name().trim_start_matches('.'))?;
                Some((f.number() as u32, *target))
            })
            .collect();
        shapes.fields.push(fields);
    }
    shapes
});

/// Whether a message of that name (`spark.connect.Plan`) nests at most `limit` levels. Bytes that are no valid
/// message are left for the decoder to refuse.
pub fn is_shallow(message: &str, bytes: &[u8], limit: usize) -> bool {
    let shapes = &*SHAPES;
    let Some(&root) = shapes.by_name.get(message) else {
        return true;
    };
    // The end of each open message, with its shape.
    let mut open = vec![(bytes.len(), root)];
    let mut at = 0;
    while let Some(&(end, shape)) = open.last() {
        if at >= end {
            open.pop();
            continue;
        }
        let Some(tag) = varint(bytes, &mut at) else { return true };
        let number = (tag >> 3) as u32;
        match tag & 7 {
            0 => {
                if varint(bytes, &mut at).is_none() {
                    return true;
                }
            }
            1 => at += 8,
            5 => at += 4,
            2 => {
                let Some(length) = varint(bytes, &mut at).and_then(|n| usize::try_from(n).ok()) else {
                    return true;
                };
                let Some(stop) = at.checked_add(length).filter(|stop| *stop <= end) else { return true };
                match shapes.fields[shape].get(&number) {
                    Some(&inner) => {
                        if open.len() >= limit {
                            return false;
                        }
                        open.push((stop, inner));
                    }
                    None => at = stop,
                }
            }
            // Groups are not used; the decoder skips them recursively, so they are refused here.
            3 | 4 => return false,
            _ => return true,
        }
    }
    true
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::spark::{Limit, Relation, relation::RelType};

    fn limits(depth: usize) -> Vec<u8> {
        let mut relation = Relation::default();
        for _ in 0..depth {
            let limit = Limit { input: Some(Box::new(relation)), limit: 1 };
            relation = Relation { common: None, rel_type: Some(RelType::Limit(Box::new(limit))) };
        }
        relation.encode_to_vec()
    }

    #[test]
    fn depth_is_counted_in_messages() {
        // Each limit is two messages, and the innermost relation one.
        let bytes = limits(10);
        assert!(is_shallow("spark.connect.Relation", &bytes, 21));
        assert!(!is_shallow("spark.connect.Relation", &bytes, 20));
    }

    #[test]
    fn rubbish_is_left_to_the_decoder() {
        assert!(is_shallow("spark.connect.Relation", &[0xff; 40], 5));
        assert!(is_shallow("spark.connect.Relation", &[0x1a, 0x7f, 0x00], 5));
        assert!(is_shallow("no.such.Message", &[1, 2, 3], 5));
    }
}
