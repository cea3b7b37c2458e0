//! The contract of aggregate functions, and their families.
//!
//! Most are a [`fold::Fold`]: a state a group, updated row by row. What keeps every value (`collect_list`,
//! `percentile`) has an accumulator of its own.

mod average;
mod bits;
mod booleans;
mod collect;
mod collect_set;
mod count;
mod distinct;
mod extremes;
mod first_last;
pub(crate) mod fold;
mod frequent_items;
mod histogram;
mod in_order;
mod listagg;
mod max_by;
mod mode;
mod moments;
mod overflow;
mod percentage;
mod percentile;
mod percentile_approx;
mod quantile_summary;
mod running;
mod sliding;
mod sum;
mod two_steps;
mod vectors;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef};
use boathouse_bridge::typed_field;
use boathouse_spec::DataType;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;

pub(crate) use self::collect_set::murmur3;
use self::distinct::DistinctAccumulator;
pub use self::frequent_items::frequent_items;
use self::in_order::Needs;
pub use self::in_order::in_order;
pub use self::percentile_approx::approx_quantile;
use self::running::{OfFold, RunningFactory};
pub use self::running::{Running, running};
use self::sliding::SlidingAccumulator;
pub use self::two_steps::{FirstStep, TwoSteps, depends_on_order, first_step, in_two_steps};
use crate::{Arg, Call, Context, Registry, ShownArg};

pub(crate) fn register(r: &mut Registry) {
    average::register(r);
    booleans::register(r);
    collect::register(r);
    collect_set::register(r);
    count::register(r);
    extremes::register(r);
    first_last::register(r);
    bits::register(r);
    histogram::register(r);
    listagg::register(r);
    max_by::register(r);
    mode::register(r);
    moments::register(r);
    percentile::register(r);
    percentile_approx::register(r);
    sum::register(r);
    vectors::register(r);
}

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
    /// The arguments in generated column names, where they are not shown as written.
    pub display_args: Option<Vec<ShownArg>>,
    /// What follows the call in generated column names (` RESPECT NULLS`).
    pub display_suffix: &'static str,
    /// The aggregate ignores DISTINCT (`max`, `min`); it is shown all the same.
    pub distinct_has_no_effect: bool,
}

impl ResolvedAggregate {
    pub fn new(
        coerced: Vec<DataType>,
        return_type: DataType,
        nullable: bool,
        udf: Arc<AggregateUDF>,
    ) -> Self {
        Self {
            coerced,
            return_type,
            nullable,
            udf,
            order_as_arguments: false,
            display_name: None,
            display_args: None,
            display_suffix: "",
            distinct_has_no_effect: false,
        }
    }

    pub fn shown_as(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    pub fn shown_with(mut self, args: Vec<ShownArg>) -> Self {
        self.display_args = Some(args);
        self
    }

    pub fn ignoring_distinct(mut self) -> Self {
        self.distinct_has_no_effect = true;
        self
    }

    pub fn with_order_as_arguments(mut self) -> Self {
        self.order_as_arguments = true;
        self
    }
}

/// Makes the accumulator of a call with WITHIN GROUP, given how its keys are sorted.
pub type OrderedFactory = Arc<dyn Fn(&[SortOptions]) -> DataFusionResult<Box<dyn Accumulator>> + Send + Sync>;
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
    sliding: Option<AccumulatorFactory>,
    running: Option<RunningFactory>,
    ordered: Option<OrderedFactory>,
    /// How the result depends on the order of rows, where it does.
    needs: Option<Needs>,
    /// The arguments' types where distinct rows have to be found by collations: then it aggregates distinct rows itself.
    distinct: Option<Vec<DataType>>,
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
            signature: Signature::one_of(
                vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
                Volatility::Immutable,
            ),
            return_field: Arc::new(typed_field(name, return_type, nullable)),
            state: state.into_iter().map(|(n, t)| Arc::new(typed_field(n, &t, true))).collect(),
            inputs: coerced.iter().map(boathouse_bridge::arrow_type).collect(),
            accumulator: Arc::new(accumulator),
            groups: None,
            sliding: None,
            running: None,
            ordered: None,
            needs: None,
            distinct: None,
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

    /// The accumulator of sliding window frames, where it is not the plain one: it takes rows back.
    pub fn with_sliding(
        mut self,
        sliding: impl Fn() -> DataFusionResult<Box<dyn Accumulator>> + Send + Sync + 'static,
    ) -> Self {
        self.sliding = Some(Arc::new(sliding));
        self
    }

    /// The values of frames that grow row by row.
    fn with_running(mut self, running: impl Fn() -> Box<dyn Running> + Send + Sync + 'static) -> Self {
        self.running = Some(Arc::new(running));
        self
    }

    /// Makes the result follow the order of rows that were sorted.
    fn with_needs(mut self, needs: Needs) -> Self {
        self.needs = Some(needs);
        self
    }

    /// The accumulator of a call with WITHIN GROUP; the sort keys' values are its last arguments.
    pub(crate) fn with_ordered(
        mut self,
        ordered: impl Fn(&[SortOptions]) -> DataFusionResult<Box<dyn Accumulator>> + Send + Sync + 'static,
    ) -> Self {
        self.ordered = Some(Arc::new(ordered));
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

    /// The same over distinct rows, with strings told apart as their collations say.
    fn over_distinct(mut self, types: &[DataType]) -> Self {
        self.distinct = Some(types.to_vec());
        (self.groups, self.sliding, self.running) = (None, None, None);
        self.parameters = format!("{} distinct by {types:?}", self.parameters);
        self
    }

    pub fn build(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(self))
    }
}

/// The aggregate over the rows that are distinct in the collations of its arguments; `None` where their bytes tell them apart.
pub fn distinct_by_collation(udf: &AggregateUDF, types: &[DataType]) -> Option<Arc<AggregateUDF>> {
    let own = udf.inner().downcast_ref::<SparkAggregate>()?;
    let collated = types.iter().any(crate::comparison::has_collation);
    collated.then(|| own.clone().over_distinct(types).build())
}

/// The type without what is noted beside the type of a list's items, which the arrays that states are made of do not know.
fn plain_items(t: &ArrowType) -> ArrowType {
    match t {
        ArrowType::List(item) if !item.metadata().is_empty() => {
            ArrowType::List(Arc::new(item.as_ref().clone().with_metadata(Default::default())))
        }
        _ => t.clone(),
    }
}

/// The state of an accumulator that keeps rows: one list an argument.
fn list_fields(name: &str, inputs: &[ArrowType]) -> Vec<FieldRef> {
    let list = |t: &ArrowType| ArrowType::List(Arc::new(Field::new("item", t.clone(), true)));
    let fields = inputs.iter().enumerate();
    fields.map(|(i, t)| Arc::new(Field::new(format!("{name}_{i}"), list(t), true))).collect()
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
        let factory = match &self.ordered {
            Some(ordered) if !args.order_bys.is_empty() => {
                let (ordered, options) = (Arc::clone(ordered), args.order_bys.iter().map(|o| o.options));
                let options: Vec<SortOptions> = options.collect();
                Arc::new(move || ordered(&options)) as AccumulatorFactory
            }
            _ => Arc::clone(&self.accumulator),
        };
        if args.is_distinct || self.distinct.is_some() {
            let collated = self.distinct.as_deref();
            return Ok(Box::new(DistinctAccumulator::new(factory, &self.inputs, collated)?));
        }
        factory()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        // What depends on an order sorts for itself.
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        let fields = match args.is_distinct || self.distinct.is_some() {
            // The distinct argument rows, one list an argument.
            true => list_fields("distinct", &self.inputs),
            false => self.state.clone(),
        };
        // As DataFusion's own functions do it: the fields of several calls stand side by side.
        let named = |f: &FieldRef| {
            let name = format_state_name(args.name, f.name());
            Arc::new(f.as_ref().clone().with_name(name).with_data_type(plain_items(f.data_type())))
        };
        Ok(fields.iter().map(named).collect())
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
        if let Some(sliding) = &self.sliding {
            return sliding();
        }
        let inner = self.accumulator(args)?;
        if inner.supports_retract_batch() {
            return Ok(inner);
        }
        Ok(Box::new(SlidingAccumulator::new(Arc::clone(&self.accumulator))))
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
