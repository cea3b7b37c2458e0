//! Streaming leaves, queries with their slices in place, and watermarks.

use std::sync::Arc;

use boathouse_delta::DeltaTable;
use boathouse_spec::{
    Column, DataSourceRef, DataType, Error, Expr, Literal, Options, Relation, RelationNode, Result, TableRef,
};
use datafusion::logical_expr::{Extension, LogicalPlan};

use super::Analyzer;
use super::analyzed::Analyzed;
use crate::change_feed;
use crate::resolver::{self, ResolvedTable};
use crate::streams::{KeptQuery, StreamLeaf, StreamOrigin};
use crate::watermark::{EventTimeWatermark, parse_delay};

impl Analyzer {
    /// `STREAM t`, `spark.readStream.table(..)`
    pub(super) fn table_stream(&mut self, table: &ResolvedTable, named: &TableRef) -> Result<Analyzed> {
        if named.time_travel.is_some() {
            return Err(Error::unsupported("time travel of a stream: use the option startingVersion"));
        }
        let origin = match (&table.delta, &table.record) {
            (Some(delta), _) => delta_origin(table.display_name(), &delta.table, &named.options),
            (None, Some(record)) => {
                let mut options: Options =
                    record.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                options.extend(named.options.iter().cloned());
                StreamOrigin::Source(DataSourceRef {
                    format: table.format.clone(),
                    schema: Some(table.schema.clone()),
                    options,
                    paths: record.location.iter().cloned().collect(),
                    is_streaming: true,
                    ..DataSourceRef::default()
                })
            }
            (None, None) => {
                return Err(Error::unsupported(format!("reading {} as a stream", table.display_name())));
            }
        };
        let qualifier = table.qualifier.clone();
        Ok(self.leaf(origin)?.qualified(&qualifier))
    }

    /// `spark.readStream.format(..).load(..)`
    pub(super) fn source_stream(&mut self, source: &DataSourceRef) -> Result<Analyzed> {
        let format = match source.format.as_str() {
            "" => self.session.conf().require("spark.sql.sources.default")?,
            format => format.to_string(),
        };
        let source = DataSourceRef { format: format.to_lowercase(), ..source.clone() };
        if source.format != "delta" {
            return self.leaf(StreamOrigin::Source(source));
        }
        let session = Arc::clone(&self.session);
        let options = change_feed::without(&source.options);
        let opened = DataSourceRef { options, ..source.clone() };
        let table = self.wait(resolver::data_source(&session, &opened))?;
        match &table.delta {
            Some(delta) => self.leaf(delta_origin(table.display_name(), &delta.table, &source.options)),
            None => Err(Error::internal("a Delta path that is no Delta table")),
        }
    }

    /// `STREAM read_files(..)`, the SQL form of `cloudFiles`.
    pub(super) fn function_stream(&mut self, input: &Relation) -> Result<Analyzed> {
        let RelationNode::TableFunction { name, args } = input.node.as_ref() else {
            return Err(Error::unsupported(
                "STREAM over something that is neither a table nor a table function",
            ));
        };
        match name.as_slice() {
            [one] if one.eq_ignore_ascii_case("read_files") || one.eq_ignore_ascii_case("cloud_files") => {
                let source = self.cloud_files(one, args)?;
                self.leaf(StreamOrigin::Source(source))
            }
            _ => Err(Error::unsupported(format!("the table function {} as a stream", name.join(".")))),
        }
    }

    /// The source that `read_files(path, format => .., option => ..)` or `cloud_files(path, format, map(..))` names.
    fn cloud_files(&mut self, function: &str, args: &[Expr]) -> Result<DataSourceRef> {
        let mut source =
            DataSourceRef { format: "cloudfiles".into(), is_streaming: true, ..DataSourceRef::default() };
        let mut position = 0;
        for arg in args {
            let (key, value) = match arg {
                Expr::NamedArgument { name, value } => (name.clone(), value.as_ref()),
                value => {
                    position += 1;
                    match position {
                        1 => ("path".to_string(), value),
                        2 if function.eq_ignore_ascii_case("cloud_files") => ("format".to_string(), value),
                        _ => {
                            return Err(Error::unsupported(format!(
                                "unnamed options of {function}: write name => value"
                            )));
                        }
                    }
                }
            };
            let (value, data_type) = self.constant(value)?;
            let value = match crate::literals::from_scalar(&value, &data_type)? {
                Literal::String(s) => s,
                Literal::Null(_) => continue,
                other => text_of(&other).ok_or_else(|| {
                    Error::unsupported(format!("a {} as the option {key} of {function}", data_type.sql()))
                })?,
            };
            self.cloud_option(&mut source, &key, value)?;
        }
        Ok(source)
    }

    fn cloud_option(&mut self, source: &mut DataSourceRef, key: &str, value: String) -> Result<()> {
        match key.to_lowercase().as_str() {
            "path" => source.paths.push(value),
            "schema" => source.schema = Some(boathouse_sql::parse_schema(&value)?),
            // Options of the source itself, which the function takes without their prefix.
            "format"
            | "inferschema"
            | "schemahints"
            | "schemaevolutionmode"
            | "schemalocation"
            | "maxfilespertrigger"
            | "maxbytespertrigger"
            | "includeexistingfiles"
            | "allowoverwrites"
            | "partitioncolumns"
            | "backfillinterval"
            | "cleansource"
            | "cleansource.movedestination"
            | "cleansource.retentionduration"
            | "maxfileage"
            | "infercolumntypes" => {
                source.options.push((format!("cloudFiles.{key}"), value));
            }
            _ => source.options.push((key.to_string(), value)),
        }
        Ok(())
    }

    fn leaf(&mut self, origin: StreamOrigin) -> Result<Analyzed> {
        let index = self.stream_count;
        self.stream_count = index.map(|i| i + 1);
        let session = Arc::clone(&self.session);
        let reader = match (&self.streams, index) {
            (Some(reader), Some(_)) => Arc::clone(reader),
            _ => session.engine.stream_reader()?,
        };
        let table = self.wait(reader.read(&session, StreamLeaf { index, origin }))?;
        let resolved = ResolvedTable {
            provider: table.provider,
            schema: table.schema,
            qualifier: Vec::new(),
            delta: None,
            record: None,
            format: "stream".to_string(),
            is_streaming: table.is_streaming,
        };
        Ok(Analyzed { is_streaming: table.is_streaming, ..self.scan(&resolved, None)? })
    }

    /// A query over streams, with what its reader gives in place of them.
    pub(super) fn kept_query(&mut self, query: &KeptQuery) -> Result<Analyzed> {
        let saved_streams = self.streams.replace(Arc::clone(&query.reader));
        let saved_count = self.stream_count.replace(0);
        let saved_now = self.context.now_us;
        if let Some(now_us) = query.now_us {
            self.context.now_us = now_us;
        }
        let environment = Some(Arc::clone(&query.environment));
        let analyzed = self.inside_view("a streaming query", environment, query.namespace.clone(), |a| {
            a.query(&query.relation)
        });
        self.context.now_us = saved_now;
        self.stream_count = saved_count;
        self.streams = saved_streams;
        analyzed
    }

    /// Over bounded data a watermark changes nothing; the column must exist and be a time.
    pub(super) fn with_watermark(
        &mut self,
        input: &Relation,
        event_time: &str,
        delay: &str,
    ) -> Result<Analyzed> {
        let analyzed = self.relation(input)?;
        let delay_us = parse_delay(delay)?;
        let column = |name: Vec<String>| Column { name, ..Default::default() };
        // A name with points may be one name, or one of several parts.
        let found = match self.column(&column(vec![event_time.to_string()]), &analyzed) {
            Err(e) => match boathouse_sql::parse_name(event_time) {
                Ok(parts) if parts.len() > 1 => self.column(&column(parts), &analyzed),
                _ => Err(e),
            },
            found => found,
        };
        let time = match found {
            // Rows that are no stream have no watermark, whatever its column is (Spark's `EliminateEventTimeWatermark`).
            Err(_) if !analyzed.is_streaming => return Ok(analyzed),
            found => found?,
        };
        if !matches!(time.expr, datafusion::logical_expr::Expr::Column(_)) {
            return Err(Error::new("EVENT_TIME_MUST_BE_TOP_LEVEL_COLUMN")
                .param("eventExpr", event_time)
                .message(format!(
                    "The event time in withWatermark must be a top-level column, but '{event_time}' is a nested field. To use it, alias it to \
                     a top-level column in a select before withWatermark."
                ))
                .exception("AnalysisException"));
        }
        if !analyzed.is_streaming {
            return Ok(analyzed);
        }
        let is_window_end = matches!(&time.data_type, DataType::Struct(s) if s.field("end").is_some_and(|f| is_time(&f.data_type)));
        if !is_time(&time.data_type) && !is_window_end {
            return Err(super::error::not_a_time(event_time, &time.data_type));
        }
        let datafusion::logical_expr::Expr::Column(time) = time.expr else {
            return Err(Error::unsupported("a watermark on an expression"));
        };
        let node = EventTimeWatermark { input: analyzed.plan.clone(), column: time, delay_us };
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(Analyzed { plan, below: None, ..analyzed })
    }
}

fn delta_origin(name: String, table: &DeltaTable, options: &Options) -> StreamOrigin {
    StreamOrigin::Delta { name, table: table.clone(), options: options.clone() }
}

fn is_time(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp | DataType::TimestampNtz)
}

/// Numbers and truth values as the text of an option.
fn text_of(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Boolean(b) => Some(b.to_string()),
        Literal::Byte(n) => Some(n.to_string()),
        Literal::Short(n) => Some(n.to_string()),
        Literal::Integer(n) => Some(n.to_string()),
        Literal::Long(n) => Some(n.to_string()),
        _ => None,
    }
}
