//! DataFusion's window functions with Spark's types and with constants fixed at resolution.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, FieldRef};
use boathouse_bridge::typed_field;
use boathouse_spec::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};
use datafusion::physical_expr::expressions::lit;
use datafusion::scalar::ScalarValue;

/// A window function of DataFusion's.
pub(super) struct Wrapped {
    name: &'static str,
    inner: Arc<WindowUDF>,
    signature: Signature,
    return_field: FieldRef,
    /// How many arguments DataFusion's function gets, from the left.
    arguments: usize,
    /// The second argument, a constant.
    number: Option<i64>,
    ignore_nulls: bool,
    /// The call has arguments that DataFusion's function does not get.
    has_arguments: bool,
}

impl Wrapped {
    pub fn new(name: &'static str, inner: Arc<WindowUDF>, return_type: &DataType, nullable: bool) -> Self {
        Self {
            name,
            inner,
            signature: Signature::variadic_any(Volatility::Immutable),
            return_field: Arc::new(typed_field(name, return_type, nullable)),
            arguments: 0,
            number: None,
            ignore_nulls: false,
            has_arguments: false,
        }
    }

    /// Arguments may be there; none is passed on.
    pub fn with_any_arguments(mut self) -> Self {
        self.has_arguments = true;
        self
    }

    /// Passes that many arguments on.
    pub fn with_arguments(mut self, arguments: usize) -> Self {
        self.arguments = arguments;
        self.with_any_arguments()
    }

    /// Adds a constant to the arguments passed on.
    pub fn with_number(mut self, number: i64) -> Self {
        self.number = Some(number);
        self.with_any_arguments()
    }

    pub fn ignoring_nulls(mut self, ignore_nulls: bool) -> Self {
        self.ignore_nulls = ignore_nulls;
        self
    }

    pub fn build(self) -> Arc<WindowUDF> {
        Arc::new(WindowUDF::new_from_impl(self))
    }
}

impl WindowUDFImpl for Wrapped {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        if self.has_arguments { &self.signature } else { self.inner.signature() }
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> DataFusionResult<Box<dyn PartitionEvaluator>> {
        let count = self.arguments.min(args.input_exprs().len());
        let mut exprs = args.input_exprs()[..count].to_vec();
        let mut fields = args.input_fields()[..count.min(args.input_fields().len())].to_vec();
        if let Some(number) = self.number {
            exprs.push(lit(number));
            fields.push(Arc::new(arrow::datatypes::Field::new("number", ArrowType::Int64, false)));
        }
        let ignore_nulls = self.ignore_nulls || args.ignore_nulls();
        let inner = self.inner.partition_evaluator_factory(PartitionEvaluatorArgs::new(
            &exprs,
            &fields,
            args.is_reversed(),
            ignore_nulls,
        ))?;
        Ok(Box::new(CastEvaluator { inner, to: self.return_field.data_type().clone() }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(self.return_field.as_ref().clone().with_name(args.name())))
    }
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?}, {})", self.name, self.number, self.ignore_nulls)
    }
}

impl PartialEq for Wrapped {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.number == other.number
            && self.ignore_nulls == other.ignore_nulls
            && self.return_field == other.return_field
    }
}

impl Eq for Wrapped {}

impl Hash for Wrapped {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.number.hash(state);
        self.ignore_nulls.hash(state);
    }
}

/// Gives the values another type (ranks are unsigned in DataFusion, INT in Spark).
#[derive(Debug)]
struct CastEvaluator {
    inner: Box<dyn PartitionEvaluator>,
    to: ArrowType,
}

impl CastEvaluator {
    fn cast(&self, array: ArrayRef) -> DataFusionResult<ArrayRef> {
        if *array.data_type() == self.to { Ok(array) } else { Ok(cast(&array, &self.to)?) }
    }
}

impl PartitionEvaluator for CastEvaluator {
    fn memoize(&mut self, state: &mut WindowAggState) -> DataFusionResult<()> {
        // What is shrunk there is an array of results: of our type, as it was made by `evaluate`.
        self.inner.memoize(state)
    }

    fn get_range(&self, idx: usize, n_rows: usize) -> DataFusionResult<Range<usize>> {
        self.inner.get_range(idx, n_rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> DataFusionResult<ArrayRef> {
        let out = self.inner.evaluate_all(values, num_rows)?;
        self.cast(out)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> DataFusionResult<ScalarValue> {
        let out = self.inner.evaluate(values, range)?;
        if out.data_type() == self.to { Ok(out) } else { out.cast_to(&self.to) }
    }

    fn evaluate_all_with_rank(&self, num_rows: usize, ranks: &[Range<usize>]) -> DataFusionResult<ArrayRef> {
        self.cast(self.inner.evaluate_all_with_rank(num_rows, ranks)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}
