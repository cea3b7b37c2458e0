//! Leaves: tables, files, and rows that the client sent or uploaded.

use boathouse_spec::{DataSourceRef, Expr, Literal, RelationNode, Result, SqlText, TableRef};
use prost::Message;

use super::data_type::parse_schema_text;
use super::literal::literal_from_proto;
use super::{Converter, Error, invalid_plan, not_set};
use crate::nesting::{MAX_DEPTH, is_shallow};
use crate::proto::spark::{self as proto, read::ReadType};

/// Where uploaded blobs lie, by the hash of their content.
const CACHE: &str = "cache/";

/// A parameter as if its value stood in the text: a decimal has the digits that it is written with.
fn as_written(value: Expr) -> Expr {
    let Expr::Literal(Literal::Decimal { unscaled, scale, .. }) = value else { return value };
    let digits = unscaled.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    let precision = u8::try_from(digits).unwrap_or(u8::MAX).max(scale);
    Expr::literal(Literal::Decimal { unscaled, precision, scale })
}

impl Converter<'_> {
    pub(super) fn read(&mut self, r: proto::Read) -> Result<RelationNode> {
        let is_streaming = r.is_streaming;
        match r.read_type.ok_or_else(|| not_set("spark.connect.Read", "READTYPE_NOT_SET"))? {
            ReadType::NamedTable(t) => Ok(RelationNode::Table(TableRef {
                name: boathouse_sql::parse_name(&t.unparsed_identifier)?,
                options: t.options.into_iter().collect(),
                is_streaming,
                ..TableRef::default()
            })),
            ReadType::DataSource(d) => {
                if d.source_name.is_some() {
                    return Err(Error::unsupported("naming a streaming source (DataStreamReader.name)"));
                }
                if is_streaming && d.paths.len() > 1 {
                    return Err(invalid_plan("MULTIPLE_PATHS_NOT_SUPPORTED_FOR_STREAMING_SOURCE")
                        .message("A streaming source reads one path, not several."));
                }
                let format = d.format.unwrap_or_default();
                if !d.predicates.is_empty() && !format.eq_ignore_ascii_case("jdbc") {
                    return Err(invalid_plan("PREDICATES_NOT_SUPPORTED_FOR_DATA_SOURCE")
                        .param("format", &format)
                        .message(format!("The data source {format} takes no predicates; only JDBC does.")));
                }
                Ok(RelationNode::DataSource(DataSourceRef {
                    format,
                    schema: d.schema.filter(|s| !s.is_empty()).map(|s| parse_schema_text(&s)).transpose()?,
                    options: d.options.into_iter().collect(),
                    paths: d.paths,
                    predicates: d.predicates,
                    is_streaming,
                }))
            }
        }
    }

    /// `spark.read.changes("t")`: the change feed of a table, whose range options have the names of Delta's.
    pub(super) fn changes(&mut self, r: proto::RelationChanges) -> Result<RelationNode> {
        let mut options: Vec<_> = r.options.into_iter().collect();
        options.push(("readChangeFeed".into(), "true".into()));
        Ok(RelationNode::Table(TableRef {
            name: boathouse_sql::parse_name(&r.unparsed_identifier)?,
            options,
            is_streaming: r.is_streaming,
            ..TableRef::default()
        }))
    }

    pub(super) fn local(&mut self, r: proto::LocalRelation) -> Result<RelationNode> {
        let schema = r.schema.filter(|s| !s.is_empty()).map(|s| parse_schema_text(&s)).transpose()?;
        match (r.data, schema) {
            (Some(data), schema) => Ok(RelationNode::LocalData { arrow_ipc: vec![data.to_vec()], schema }),
            (None, Some(schema)) => Ok(RelationNode::Empty(schema)),
            (None, None) => Err(invalid_plan("SCHEMA_REQUIRED_FOR_LOCAL_RELATION")
                .message("A local relation without data must say its schema.")),
        }
    }

    /// A whole local relation that was uploaded as one blob.
    pub(super) fn cached_local(&mut self, hash: &str) -> Result<RelationNode> {
        let blob = self.artifacts.read(&format!("{CACHE}{hash}"))?.ok_or_else(|| {
            invalid_plan("CANNOT_FIND_CACHED_LOCAL_RELATION")
                .param("hash", hash)
                .message(format!("No uploaded local relation has the hash {hash}."))
        })?;
        if !is_shallow("spark.connect.LocalRelation", &blob, MAX_DEPTH) {
            return Err(Error::internal("an uploaded local relation nests too deep"));
        }
        let relation = proto::LocalRelation::decode(blob).map_err(|e| cannot_parse(&e))?;
        self.local(relation)
    }

    /// Arrow streams uploaded one by one, and their schema as text.
    pub(super) fn chunked_local(&mut self, r: proto::ChunkedCachedLocalRelation) -> Result<RelationNode> {
        if r.data_hashes.is_empty() {
            return Err(invalid_plan("CHUNKED_CACHED_LOCAL_RELATION_WITHOUT_DATA")
                .message("An uploaded local relation names no data."));
        }
        let session = self.artifacts.session();
        let blob = |hash: &str| {
            self.artifacts.read(&format!("{CACHE}{hash}"))?.ok_or_else(|| {
                invalid_plan("NOT_FOUND_CHUNKED_CACHED_LOCAL_RELATION")
                    .param("hash", hash)
                    .param("sessionUUID", session)
                    .message(format!("No uploaded block has the hash {hash} in the session {session}."))
            })
        };
        let arrow_ipc =
            r.data_hashes.iter().map(|hash| Ok(blob(hash)?.to_vec())).collect::<Result<Vec<_>>>()?;
        let schema = match r.schema_hash {
            Some(hash) => Some(parse_schema_text(&String::from_utf8_lossy(&blob(&hash)?))?),
            None => None,
        };
        Ok(RelationNode::LocalData { arrow_ipc, schema })
    }

    /// SQL text with its arguments. The older fields hold literals only.
    #[allow(deprecated)]
    pub(super) fn sql_text(&mut self, s: proto::Sql) -> Result<SqlText> {
        let mut named = Vec::new();
        for (name, literal) in s.args {
            named.push((name, as_written(Expr::Literal(literal_from_proto(literal)?))));
        }
        for (name, expr) in s.named_arguments {
            named.push((name, as_written(self.expression(expr)?)));
        }
        let mut positional = Vec::new();
        for literal in s.pos_args {
            positional.push(as_written(Expr::Literal(literal_from_proto(literal)?)));
        }
        positional.extend(self.expressions(s.pos_arguments)?.into_iter().map(as_written));
        Ok(SqlText { text: s.query, named, positional })
    }
}

pub(super) fn cannot_parse(e: &dyn std::fmt::Display) -> Error {
    invalid_plan("CANNOT_PARSE").param("errorMsg", e).message(format!("The plan cannot be read: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::test_support::Uploaded;

    #[test]
    fn uploaded_blocks_are_found_by_hash() {
        let mut artifacts = Uploaded::default();
        artifacts.0.insert("cache/aa".into(), vec![1, 2]);
        artifacts.0.insert("cache/bb".into(), br#"{"type":"struct","fields":[]}"#.to_vec());
        let message = |data: &str| proto::ChunkedCachedLocalRelation {
            data_hashes: vec![data.into()],
            schema_hash: Some("bb".into()),
        };
        let mut converter = Converter::new(&artifacts);
        let found = converter.chunked_local(message("aa"));
        assert!(matches!(found, Ok(RelationNode::LocalData { arrow_ipc, .. }) if arrow_ipc == [vec![1, 2]]));
        let lost = converter.chunked_local(message("zz"));
        assert!(
            lost.is_err_and(|e| e.class() == "CONNECT_INVALID_PLAN.NOT_FOUND_CHUNKED_CACHED_LOCAL_RELATION")
        );
    }
}
