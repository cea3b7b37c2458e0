//! The contract of aggregate functions.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType as ArrowType, FieldRef};
use boathouse_bridge::typed_field;
use boathouse_spec::DataType;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::{Arg, Call, Context};

/// A call of an aggregate function to resolve.
pub struct AggregateCall<'a> {
    pub call: Call<'a>,
    pub distinct: bool,
    /// `IGNORE NULLS` where written.
    pub ignore_nulls: Option<bool>,
    /// Types of the WITHIN GROUP sort keys, and whether each ascends. Their values arrive as extra arguments after
    /// the call's own where the function asks for them ([`ResolvedAggregate::order_as_arguments`]).
    pub order_by: Vec<(Arg, bool)>,
}

#[derive(Clone)]
pub struct ResolvedAggregate {
    /// What each argument (then each sort key, with `order_as_arguments`) is cast to.
    pub coerced: Vec<DataType>,
    pub return_type: DataType,
    pub nullable: bool,
    pub udf: Arc<AggregateUDF>,
    /// Append the WITHIN GROUP sort keys to the arguments.
    pub order_as_arguments: bool,
    /// The name in generated column names where it differs from the name called.
    pub display_name: Option<String>,
    /// The aggregate ignores DISTINCT (`max`, `min`).
    pub distinct_has_no_effect: bool,
}

pub type AccumulatorFactory = Arc<dyn Fn() -> DataFusionResult<Box<dyn Accumulator>> + Send + Sync>;
pub type GroupsAccumulatorFactory =
    Arc<dyn Fn() -> DataFusionResult<Box<dyn GroupsAccumulator>> + Send + Sync>;

/// An aggregate function of ours as a DataFusion UDAF: types fixed at resolution. DISTINCT and sliding window frames
/// work for any accumulator.
#[derive(Clone)]
pub struct SparkAggregate {
    name: String,
    signature: Signature,
    return_field: FieldRef,
    /// Arrow fields of the intermediate state, in the order of `Accumulator::state`.
    state: Vec<FieldRef>,
    /// Types of the arguments, Arrow.
    inputs: Vec<ArrowType>,
    accumulator: AccumulatorFactory,
    groups: Option<GroupsAccumulatorFactory>,
    /// The result over no rows.
    empty: Option<ScalarValue>,
    /// Distinguishes two calls whose constant parameters differ.
    parameters: String,
    context: Context,
}

impl SparkAggregate {
    pub fn new(
        name: &str,
        coerced: &[DataType],
        return_type: &DataType,
        nullable: bool,
        state: Vec<(&str, DataType)>,
        context: &Context,
        accumulator: impl Fn() -> DataFusionResult<Box<dyn Accumulator>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_string(),
            signature: Signature::variadic_any(Volatility::Immutable),
            return_field: Arc::new(typed_field(name, return_type, nullable)),
            state: state.into_iter().map(|(n, t)| Arc::new(typed_field(n, &t, true))).collect(),
            inputs: coerced.iter().map(boathouse_bridge::arrow_type).collect(),
            accumulator: Arc::new(accumulator),
            groups: None,
            empty: None,
            parameters: String::new(),
            context: context.clone(),
        }
    }

    /// A vectorized accumulator for GROUP BY; without one, one accumulator a group is used.
    pub fn with_groups(
        mut self,
        groups: impl Fn() -> DataFusionResult<Box<dyn GroupsAccumulator>> + Send + Sync + 'static,
    ) -> Self {
        self.groups = Some(Arc::new(groups));
        self
    }

    /// The result where there are no rows (`count`: 0, `collect_list`: []).
    pub fn with_empty(mut self, value: ScalarValue) -> Self {
        self.empty = Some(value);
        self
    }

    /// Constants the accumulator was built with, so that calls with other constants are other functions.
    pub fn with_parameters(mut self, parameters: impl fmt::Debug) -> Self {
        self.parameters = format!("{parameters:?}");
        self
    }

    pub fn build(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(self))
    }
}

impl AggregateUDFImpl for SparkAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[ArrowType]) -> DataFusionResult<ArrowType> {
        Ok(self.return_field.data_type().clone())
    }

    fn return_field(&self, _: &[FieldRef]) -> DataFusionResult<FieldRef> {
        Ok(Arc::clone(&self.return_field))
    }

    fn is_nullable(&self) -> bool {
        self.return_field.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Ok(Box::new(DistinctAccumulator {
                factory: Arc::clone(&self.accumulator),
                inputs: self.inputs.clone(),
                rows: HashSet::new(),
            }));
        }
        (self.accumulator)()
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        if args.is_distinct {
            // The distinct argument rows, one list an argument.
            return Ok(self
                .inputs
                .iter()
                .enumerate()
                .map(|(i, t)| {
                    let item = arrow::datatypes::Field::new("item", t.clone(), true);
                    Arc::new(arrow::datatypes::Field::new(
                        format!("distinct_{i}"),
                        ArrowType::List(Arc::new(item)),
                        true,
                    ))
                })
                .collect());
        }
        Ok(self.state.clone())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.groups.is_some() && !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        match &self.groups {
            Some(factory) => factory(),
            None => Err(DataFusionError::Internal(format!("{} has no groups accumulator", self.name))),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        let inner = self.accumulator(args)?;
        if inner.supports_retract_batch() {
            return Ok(inner);
        }
        Ok(Box::new(SlidingAccumulator { factory: Arc::clone(&self.accumulator), rows: Default::default() }))
    }

    fn default_value(&self, data_type: &ArrowType) -> DataFusionResult<ScalarValue> {
        match &self.empty {
            Some(value) => Ok(value.clone()),
            None => ScalarValue::try_from(data_type),
        }
    }
}

impl fmt::Debug for SparkAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.parameters)
    }
}

impl PartialEq for SparkAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.parameters == other.parameters
            && self.inputs == other.inputs
            && self.return_field == other.return_field
            && self.context == other.context
    }
}

impl Eq for SparkAggregate {}

impl Hash for SparkAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.parameters.hash(state);
        self.inputs.hash(state);
    }
}

/// DISTINCT for any accumulator: keeps the distinct argument rows and feeds them at the end.
struct DistinctAccumulator {
    factory: AccumulatorFactory,
    inputs: Vec<ArrowType>,
    rows: HashSet<Vec<ScalarValue>>,
}

impl fmt::Debug for DistinctAccumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "distinct rows: {}", self.rows.len())
    }
}

impl Accumulator for DistinctAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = values.first().map_or(0, |v| v.len());
        for i in 0..rows {
            let row = values
                .iter()
                .map(|v| ScalarValue::try_from_array(v, i).map(normalize))
                .collect::<DataFusionResult<Vec<_>>>()?;
            self.rows.insert(row);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut inner = (self.factory)()?;
        if let Some(columns) = columns_of(self.rows.iter())? {
            inner.update_batch(&columns)?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.iter().flatten().map(ScalarValue::size).sum::<usize>()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let columns = match columns_of(self.rows.iter())? {
            Some(columns) => columns,
            None => self.inputs.iter().map(arrow::array::new_empty_array).collect(),
        };
        Ok(columns.into_iter().map(|c| SingleRowListArrayBuilder::new(c).build_list_scalar()).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = states.first().map_or(0, |s| s.len());
        for i in 0..rows {
            let lists: Vec<ArrayRef> =
                states.iter().filter(|s| s.is_valid(i)).map(|s| s.as_list::<i32>().value(i)).collect();
            if lists.len() == states.len() {
                self.update_batch(&lists)?;
            }
        }
        Ok(())
    }
}

/// `-0.0` is `0.0` and every NaN one NaN, as Spark groups them.
fn normalize(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(x)) if x == 0.0 => ScalarValue::Float64(Some(0.0)),
        ScalarValue::Float32(Some(x)) if x == 0.0 => ScalarValue::Float32(Some(0.0)),
        ScalarValue::Float64(Some(x)) if x.is_nan() => ScalarValue::Float64(Some(f64::NAN)),
        ScalarValue::Float32(Some(x)) if x.is_nan() => ScalarValue::Float32(Some(f32::NAN)),
        other => other,
    }
}

fn columns_of<'a>(
    rows: impl Iterator<Item = &'a Vec<ScalarValue>>,
) -> DataFusionResult<Option<Vec<ArrayRef>>> {
    let mut columns: Vec<Vec<ScalarValue>> = Vec::new();
    for row in rows {
        columns.resize_with(row.len(), Vec::new);
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value.clone());
        }
    }
    if columns.is_empty() {
        return Ok(None);
    }
    columns.into_iter().map(ScalarValue::iter_to_array).collect::<DataFusionResult<Vec<_>>>().map(Some)
}

/// Sliding frames for accumulators that cannot retract: the frame's rows are kept and aggregated anew.
struct SlidingAccumulator {
    factory: AccumulatorFactory,
    rows: std::collections::VecDeque<Vec<ScalarValue>>,
}

impl fmt::Debug for SlidingAccumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame of {} rows", self.rows.len())
    }
}

impl Accumulator for SlidingAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for i in 0..values.first().map_or(0, |v| v.len()) {
            self.rows.push_back(
                values.iter().map(|v| ScalarValue::try_from_array(v, i)).collect::<DataFusionResult<_>>()?,
            );
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for _ in 0..values.first().map_or(0, |v| v.len()) {
            self.rows.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut inner = (self.factory)()?;
        if let Some(columns) = columns_of(self.rows.iter())? {
            inner.update_batch(&columns)?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.iter().flatten().map(ScalarValue::size).sum::<usize>()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a window frame has no partial state".into()))
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> DataFusionResult<()> {
        Err(DataFusionError::Internal("a window frame has no partial state".into()))
    }
}
