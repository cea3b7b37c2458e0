//! Relations that bring their rows along: VALUES, `range`, rows sent by the client.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use boathouse_bridge::{ResultExt, arrow_field, spark_schema};
use boathouse_functions::cast::{self, Mode};
use boathouse_functions::{Context, coercion};
use boathouse_spec::{DataType, Error, Expr, Result, StructType};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlanBuilder, UNNAMED_TABLE};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, project};

/// A constant of VALUES whose computation fails (Spark's `EvaluateUnresolvedInlineTable`).
fn failed_evaluation(shown: &str, cause: &Error) -> Error {
    Error::new("INVALID_INLINE_TABLE.FAILED_SQL_EXPRESSION_EVALUATION")
        .param("sqlExpr", format!("\"{shown}\""))
        .message(format!("{shown} in VALUES cannot be computed."))
        .caused_by(cause)
        .exception("AnalysisException")
}

/// What VALUES cannot compute before there are rows.
fn not_evaluable(shown: &str) -> Error {
    Error::new("INVALID_INLINE_TABLE.CANNOT_EVALUATE_EXPRESSION_IN_INLINE_TABLE")
        .param("expr", format!("\"{shown}\""))
        .message(format!("VALUES cannot hold {shown}."))
}

impl Analyzer {
    pub(super) fn values(&mut self, rows: &[Vec<Expr>]) -> Result<Analyzed> {
        let one = Analyzed::one_row()?;
        let width = rows.first().map_or(0, Vec::len);
        let mut columns: Vec<Vec<super::TypedExpr>> = vec![Vec::with_capacity(rows.len()); width];
        for (n, row) in rows.iter().enumerate() {
            if row.len() != width {
                return Err(Error::new("INVALID_INLINE_TABLE.NUM_COLUMNS_MISMATCH")
                    .param("expectedNumCols", width)
                    .param("actualNumCols", row.len())
                    .param("rowIndex", n)
                    .message(format!("Row {n} of VALUES has {} columns, not {width}.", row.len())));
            }
            for (column, expr) in columns.iter_mut().zip(row) {
                if let Some(shown) = self.generator_shown(expr, &one)? {
                    return Err(not_evaluable(&shown));
                }
                let value = self.expr(expr, &one)?;
                let is_call = !matches!(expr, Expr::Literal(_));
                if is_call && self.sql_function_in(std::slice::from_ref(expr))?.is_some() {
                    return Err(not_evaluable(&value.name));
                }
                if value.expr.exists(|e| Ok(matches!(e, DfExpr::ScalarSubquery(_)))).spark()? {
                    return Err(Error::new(
                        "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.SCALAR_SUBQUERY_IN_VALUES",
                    )
                    .message("VALUES cannot hold a subquery."));
                }
                let is_constant = super::expr::is_foldable(&value.expr) && !value.expr.is_volatile();
                if !is_constant || super::lambda::has_lambda(&value.expr) {
                    return Err(not_evaluable(&value.name));
                }
                column.push(value);
            }
        }
        // Spark takes the rules without ANSI here, whatever the session says.
        let rules = Context { ansi: false, ..self.context.clone() };
        let mut output: Vec<Attribute> = Vec::with_capacity(width);
        let mut cast_columns = Vec::with_capacity(width);
        for (i, column) in columns.into_iter().enumerate() {
            let types: Vec<DataType> = column.iter().map(|v| v.data_type.clone()).collect();
            // Texts stand with texts only.
            let known: Vec<&DataType> = types.iter().filter(|t| **t != DataType::Null).collect();
            let mixed = known.windows(2).any(|pair| mixes_texts(pair[0], pair[1]));
            let common = types
                .iter()
                .try_fold(DataType::Null, |all, t| coercion::tightest_common_type(&all, t, &rules))
                .filter(|_| !mixed)
                .ok_or_else(|| {
                    Error::new("INVALID_INLINE_TABLE.INCOMPATIBLE_TYPES_IN_INLINE_TABLE")
                        .param("colName", format!("`col{}`", i + 1))
                        .message(format!("The values of column {} of VALUES are of different types.", i + 1))
                })?;
            let nullable = column.iter().any(|v| v.nullable);
            output.push(self.attribute(format!("col{}", i + 1), common.clone(), nullable));
            let cast = column.into_iter().map(|v| self.implicit(v, &common)).collect::<Result<Vec<_>>>()?;
            cast_columns.push(cast);
        }
        if width == 0 {
            return Analyzed::one_row();
        }
        // Constants become arrays at once: a plan of ten thousand literal rows would be slow to plan.
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(width);
        for (column, attribute) in cast_columns.iter().zip(&output) {
            let wanted = boathouse_bridge::arrow_type(&attribute.data_type);
            let mut scalars = Vec::with_capacity(column.len());
            for value in column {
                scalars.push(self.fold(value).map_err(|e| failed_evaluation(&value.name, &e))?);
            }
            let array = scalars_to_array(scalars, &wanted)?;
            arrays.push(boathouse_functions::conform(array, &wanted)?);
        }
        let schema = Arc::new(Schema::new(positional_fields(&output)));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).spark()?;
        let partitions =
            self.session.engine.options.partitions.unwrap_or(1).clamp(1, batch.num_rows().max(1));
        let rows = batch.num_rows();
        let part = |i: usize| {
            let (from, to) = (i * rows / partitions, (i + 1) * rows / partitions);
            vec![batch.slice(from, to - from)]
        };
        let table = MemTable::try_new(schema, (0..partitions).map(part).collect()).spark()?;
        let plan = scan(Arc::new(table), &output)?;
        Ok(Analyzed::new(plan, output))
    }

    /// The text of a generator's call among the values.
    fn generator_shown(&mut self, expr: &Expr, over: &Analyzed) -> Result<Option<String>> {
        let Expr::Call(call) = expr else { return Ok(None) };
        if !self.is_generator_item(expr) {
            return Ok(None);
        }
        let args = call.args.iter().map(|arg| self.expr(arg, over)).collect::<Result<Vec<_>>>()?;
        let name = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
        Ok(Some(super::scalar_call::call_name(&name, &args)))
    }

    pub(super) fn empty(&mut self, schema: &StructType) -> Result<Analyzed> {
        self.batches(schema, Vec::new())
    }

    pub(super) fn local_data(&mut self, ipc: &[Vec<u8>], schema: Option<&StructType>) -> Result<Analyzed> {
        let mut batches = Vec::new();
        let mut sent: Option<SchemaRef> = None;
        for part in ipc {
            let reader = StreamReader::try_new(Cursor::new(part), None).spark()?;
            sent.get_or_insert(reader.schema());
            for batch in reader {
                batches.push(batch.spark()?);
            }
        }
        let own = match &sent {
            Some(s) => spark_schema(s)?,
            None => StructType::default(),
        };
        let wanted = schema.cloned().unwrap_or_else(|| own.clone());
        if sent.is_some() && wanted.fields.len() != own.fields.len() {
            return Err(Error::new("AXIS_LENGTH_MISMATCH")
                .param("expectedLength", own.fields.len())
                .param("actualLength", wanted.fields.len())
                .message(format!(
                    "The data has {} columns, the schema {}.",
                    own.fields.len(),
                    wanted.fields.len()
                )));
        }
        let mut converted = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut columns = Vec::with_capacity(batch.num_columns());
            for ((column, from), to) in batch.columns().iter().zip(&own.fields).zip(&wanted.fields) {
                columns.push(self.local_column(column, &from.data_type, &to.data_type)?);
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            converted.push((columns, options));
        }
        let target = Arc::new(Schema::new(
            wanted.fields.iter().map(|f| arrow_field(f).with_nullable(true)).collect::<Vec<_>>(),
        ));
        let batches = converted
            .into_iter()
            .map(|(columns, options)| {
                RecordBatch::try_new_with_options(Arc::clone(&target), columns, &options).spark()
            })
            .collect::<Result<Vec<_>>>()?;
        self.batches(&wanted, batches)
    }

    /// A client's column in our Arrow type: other string and timestamp layouts first, then Spark's cast.
    fn local_column(&self, column: &ArrayRef, from: &DataType, to: &DataType) -> Result<ArrayRef> {
        let plain = boathouse_bridge::arrow_type(from);
        let column = boathouse_bridge::conform(column, &plain)?;
        if from == to || from.same_type(to) {
            return boathouse_functions::conform(column, &boathouse_bridge::arrow_type(to));
        }
        let mode = if self.context.ansi { Mode::Ansi } else { Mode::Legacy };
        cast::cast(&column, from, to, mode, &self.context)
    }

    /// Batches in memory as a relation; their columns are the schema's.
    pub(crate) fn batches(&mut self, schema: &StructType, batches: Vec<RecordBatch>) -> Result<Analyzed> {
        let output: Vec<Attribute> = schema
            .fields
            .iter()
            .map(|f| {
                let mut a = self.attribute(&f.name, f.data_type.clone(), f.nullable);
                a.metadata.clone_from(&f.metadata);
                a
            })
            .collect();
        let internal = Arc::new(Schema::new(positional_fields(&output)));
        let batches = batches
            .into_iter()
            .map(|b| {
                let options = RecordBatchOptions::new().with_row_count(Some(b.num_rows()));
                RecordBatch::try_new_with_options(Arc::clone(&internal), b.columns().to_vec(), &options)
                    .spark()
            })
            .collect::<Result<Vec<_>>>()?;
        let table = MemTable::try_new(internal, vec![batches]).spark()?;
        let plan = scan(Arc::new(table), &output)?;
        Ok(Analyzed::new(plan, output))
    }

    pub(super) fn range(
        &mut self,
        start: i64,
        end: i64,
        step: i64,
        partitions: Option<u32>,
    ) -> Result<Analyzed> {
        if step == 0 {
            return Err(Error::new("FAILED_FUNCTION_CALL")
                .param("funcName", "`range`")
                .message("range needs a step that is not 0."));
        }
        let id = self.attribute("id", DataType::Long, false);
        let schema = Arc::new(Schema::new(vec![Field::new("0", arrow::datatypes::DataType::Int64, false)]));
        let rows = {
            let (s, e, d) = (start as i128, end as i128, step as i128);
            let span = if d > 0 { e - s } else { s - e };
            if span <= 0 { 0 } else { (span + d.abs() - 1) / d.abs() }
        };
        let default = self.session.engine.parallelism() as i128;
        let parts = partitions.map_or(default, i128::from).clamp(1, rows.clamp(1, 1024));
        let streams: Vec<Arc<dyn PartitionStream>> = (0..parts)
            .map(|p| {
                let (from, to) = (p * rows / parts, (p + 1) * rows / parts);
                Arc::new(RangeStream {
                    schema: Arc::clone(&schema),
                    start: start as i128,
                    step: step as i128,
                    from,
                    to,
                }) as Arc<dyn PartitionStream>
            })
            .collect();
        let table = StreamingTable::try_new(schema, streams).spark()?;
        let output = vec![id];
        let plan = scan(Arc::new(table), &output)?;
        Ok(Analyzed::new(plan, output))
    }
}

/// A scan of a table, its columns under the attributes' names.
pub(super) fn scan(
    table: Arc<dyn TableProvider>,
    output: &[Attribute],
) -> Result<datafusion::logical_expr::LogicalPlan> {
    let plan =
        LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(table), None).spark()?.build().spark()?;
    let list: Vec<DfExpr> = plan
        .schema()
        .iter()
        .zip(output)
        .map(|((qualifier, field), a)| {
            DfExpr::Column(datafusion::common::Column::new(qualifier.cloned(), field.name()))
                .alias(a.internal_name())
        })
        .collect();
    project(list, plan)
}

/// Fields for rows in memory. Their names are positions: they are never seen, and never those of the columns above.
fn positional_fields(output: &[Attribute]) -> Vec<Field> {
    output
        .iter()
        .enumerate()
        .map(|(i, a)| boathouse_bridge::typed_field(i.to_string(), &a.data_type, true))
        .collect()
}

fn scalars_to_array(
    scalars: Vec<datafusion::scalar::ScalarValue>,
    wanted: &arrow::datatypes::DataType,
) -> Result<ArrayRef> {
    if scalars.is_empty() {
        return Ok(arrow::array::new_empty_array(wanted));
    }
    let arrays = scalars
        .into_iter()
        .map(|s| boathouse_functions::conform(s.to_array().spark()?, wanted))
        .collect::<Result<Vec<_>>>()?;
    arrow::compute::concat(&arrays.iter().map(|a| a.as_ref()).collect::<Vec<_>>()).spark()
}

/// `first`, `second`, ... as Spark counts tables and columns in messages.
pub(super) fn ordinal_word(i: usize) -> String {
    const WORDS: [&str; 10] =
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    WORDS.get(i).map_or_else(|| format!("{}th", i + 1), |w| w.to_string())
}

/// One partition of a range: the rows `from..to` of `start + n * step`.
#[derive(Debug)]
struct RangeStream {
    schema: SchemaRef,
    start: i128,
    step: i128,
    from: i128,
    to: i128,
}

impl PartitionStream for RangeStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch_size = context.session_config().batch_size() as i128;
        let schema = Arc::clone(&self.schema);
        let (start, step, to) = (self.start, self.step, self.to);
        let stream = futures::stream::unfold(self.from, move |from| {
            let schema = Arc::clone(&schema);
            async move {
                if from >= to {
                    return None;
                }
                let until = (from + batch_size).min(to);
                let values: Int64Array = (from..until).map(|n| (start + n * step) as i64).collect();
                let batch = RecordBatch::try_new(schema, vec![Arc::new(values)]).map_err(Into::into);
                Some((batch, until))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// Whether a text and something else, or texts of two collations, would have to become one type, here or inside.
fn mixes_texts(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Null, _) | (_, DataType::Null) => false,
        (DataType::Array { element: x, .. }, DataType::Array { element: y, .. }) => mixes_texts(x, y),
        (DataType::Map { key: k, value: v, .. }, DataType::Map { key: l, value: w, .. }) => {
            mixes_texts(k, l) || mixes_texts(v, w)
        }
        (DataType::Struct(s), DataType::Struct(t)) => {
            s.fields.iter().zip(&t.fields).any(|(x, y)| mixes_texts(&x.data_type, &y.data_type))
        }
        (DataType::String { collation: x }, DataType::String { collation: y }) => x != y,
        (x, y) => x.is_string() != y.is_string(),
    }
}
