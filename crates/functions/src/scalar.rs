//! A resolved call as a DataFusion UDF.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::datatypes::{DataType as ArrowType, FieldRef};
use boathouse_bridge::{to_datafusion, typed_field};
use boathouse_spec::{DataType, Error, Origin, Result};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use crate::documentation::{Documented, documentation};
use crate::{Context, Inputs, ReplacedArg, Resolved};

/// The DataFusion function of a resolved call. Its types are fixed: DataFusion neither coerces nor infers.
pub fn scalar_udf(name: &str, resolved: Resolved, context: &Context) -> Arc<ScalarUDF> {
    scalar_udf_at(name, resolved, context, Origin::default())
}

/// The same, of a call that stands somewhere: errors of its values say where.
pub fn scalar_udf_at(name: &str, resolved: Resolved, context: &Context, origin: Origin) -> Arc<ScalarUDF> {
    let return_field = Arc::new(typed_field(name, &resolved.return_type, resolved.nullable));
    Arc::new(ScalarUDF::new_from_impl(SparkScalar {
        name: name.to_string(),
        signature: Signature::one_of(
            vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
            resolved.volatility,
        ),
        return_field,
        resolved,
        context: context.clone(),
        origin,
    }))
}

pub struct SparkScalar {
    name: String,
    signature: Signature,
    return_field: FieldRef,
    resolved: Resolved,
    context: Context,
    origin: Origin,
}

/// Operators and functions whose operands may change places.
const ORDER_DOES_NOT_MATTER: &[&str] =
    &["+", "*", "&", "|", "^", "greatest", "least", "try_add", "try_multiply"];

/// Errors of values that say which part of the statement they are about (Spark's expressions with a `getContextOrNull`).
fn tells_where(error: &Error) -> bool {
    const CLASSES: &[&str] = &[
        "ARITHMETIC_OVERFLOW",
        "CAST_INVALID_INPUT",
        "DIVIDE_BY_ZERO",
        "INTERVAL_ARITHMETIC_OVERFLOW",
        "INTERVAL_DIVIDED_BY_ZERO",
        "INVALID_ARRAY_INDEX",
        "INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
        "NUMERIC_VALUE_OUT_OF_RANGE",
        "REMAINDER_BY_ZERO",
    ];
    CLASSES.iter().any(|class| error.is(class))
}

impl SparkScalar {
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// The call as it compares with others that mean the same (Spark's `Expression.canonicalized`): under the class of its
    /// function, by whichever name it was called, or of the one that Spark replaces it by, and its operands sorted where
    /// their order does not matter.
    pub fn canonical(&self, args: Vec<Expr>) -> Expr {
        let mut resolved = self.resolved.clone();
        let replacement = resolved.replaced_by.take();
        let called = replacement.as_ref().map_or(self.name.as_str(), |replacement| replacement.function);
        let class = documentation(called).and_then(Documented::class);
        let name = class.unwrap_or(called).to_string();
        let mut operands: Vec<_> = match &replacement {
            Some(replacement) => replaced(&replacement.args, &args, &resolved.coerced),
            None => args.into_iter().zip(resolved.coerced.iter().cloned()).collect(),
        };
        if ORDER_DOES_NOT_MATTER.contains(&called) {
            operands = operands.into_iter().flat_map(|operand| self.parts_of(&name, operand)).collect();
            operands.sort_by_cached_key(|(operand, _)| format!("{operand:?}"));
        }
        let (args, coerced) = operands.into_iter().unzip();
        resolved.coerced = coerced;
        scalar_udf(&name, resolved, &self.context).call(args)
    }

    /// The operands of an operand that is a call of the same kind: of `(a + b)` in `(a + b) + c`. Decimals, whose type
    /// depends on the order, stay.
    fn parts_of(&self, class: &str, operand: (Expr, DataType)) -> Vec<(Expr, DataType)> {
        let is_decimal = matches!(self.resolved.return_type, DataType::Decimal { .. });
        if let Expr::ScalarFunction(call) = &operand.0
            && let Some(inner) = call.func.inner().downcast_ref::<Self>()
            && inner.name == class
            && inner.resolved.return_type == self.resolved.return_type
            && !is_decimal
        {
            return call.args.iter().cloned().zip(inner.resolved.coerced.iter().cloned()).collect();
        }
        vec![operand]
    }

    fn evaluate(&self, values: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let out = (self.resolved.eval)(&Inputs::new(values, rows, &self.context))?;
        if out.len() != rows {
            return Err(Error::internal(format!("{} gave {} rows for {rows}", self.name, out.len())));
        }
        conform(out, self.return_field.data_type())
    }
}

/// The arguments of the call that another one is replaced by, with their types.
fn replaced(wanted: &[ReplacedArg], args: &[Expr], types: &[DataType]) -> Vec<(Expr, DataType)> {
    let operand = |arg: &ReplacedArg| match arg {
        ReplacedArg::Arg(i) => args.get(*i).cloned().zip(types.get(*i).cloned()),
        ReplacedArg::Integer(number) => Some((lit(*number), DataType::Integer)),
    };
    wanted.iter().filter_map(operand).collect()
}

/// Gives an array the exact type that was promised: names, nullability and metadata of nested fields may differ from
/// what a kernel or builder made. The values are not touched.
pub fn conform(array: ArrayRef, wanted: &ArrowType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(array);
    }
    match relabel(array.to_data(), wanted) {
        Some(data) => Ok(make_array(data)),
        None => {
            Err(Error::internal(format!("a function gave {} where {wanted} was promised", array.data_type())))
        }
    }
}

fn relabel(data: arrow::array::ArrayData, wanted: &ArrowType) -> Option<arrow::array::ArrayData> {
    if data.data_type() == wanted {
        return Some(data);
    }
    let children: Vec<arrow::array::ArrayData> = match (data.data_type(), wanted) {
        (ArrowType::List(_), ArrowType::List(f)) | (ArrowType::Map(_, _), ArrowType::Map(f, _)) => {
            vec![relabel(data.child_data()[0].clone(), f.data_type())?]
        }
        (ArrowType::Struct(a), ArrowType::Struct(b)) if a.len() == b.len() => data
            .child_data()
            .iter()
            .zip(b)
            .map(|(child, field)| relabel(child.clone(), field.data_type()))
            .collect::<Option<_>>()?,
        (ArrowType::Timestamp(a, _), ArrowType::Timestamp(b, _)) if a == b => vec![],
        // The same 128 bits under another precision: the function promised the wider or narrower label.
        (ArrowType::Decimal128(_, a), ArrowType::Decimal128(_, b)) if a == b => vec![],
        (ArrowType::Null, _) => return Some(arrow::array::new_null_array(wanted, data.len()).to_data()),
        _ => return None,
    };
    data.into_builder().data_type(wanted.clone()).child_data(children).build().ok()
}

impl ScalarUDFImpl for SparkScalar {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[ArrowType]) -> DataFusionResult<ArrowType> {
        Ok(self.return_field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Arc::clone(&self.return_field))
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        if !self.resolved.of_types {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let value = first(&self.evaluate(&[], 1).map_err(to_datafusion)?)?;
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(value, None)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = self.resolved.volatility == Volatility::Immutable
            && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let located = |e: Error| if tells_where(&e) { e.at(&self.origin) } else { e };
        let out = self.evaluate(&args.args, rows).map_err(|e| to_datafusion(located(e)))?;
        if constant {
            return Ok(ColumnarValue::Scalar(first(&out)?));
        }
        Ok(ColumnarValue::Array(out))
    }
}

/// The first value, its nested fields with their metadata (which tells a VARIANT from a struct).
pub(crate) fn first(values: &ArrayRef) -> DataFusionResult<ScalarValue> {
    Ok(match values.data_type() {
        ArrowType::List(_) => ScalarValue::List(Arc::new(values.slice(0, 1).as_list::<i32>().clone())),
        ArrowType::Map(..) => ScalarValue::Map(Arc::new(values.slice(0, 1).as_map().clone())),
        _ => ScalarValue::try_from_array(values, 0)?,
    })
}

impl fmt::Debug for SparkScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.resolved.return_type.simple_string())
    }
}

impl PartialEq for SparkScalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.return_field == other.return_field
            && self.resolved.coerced == other.resolved.coerced
            && self.resolved.parameters == other.resolved.parameters
            && self.context == other.context
    }
}

impl Eq for SparkScalar {}

impl Hash for SparkScalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.resolved.coerced.hash(state);
        self.resolved.parameters.hash(state);
        self.resolved.return_type.hash(state);
    }
}
