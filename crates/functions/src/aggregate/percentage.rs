//! The percentage argument of percentiles: a constant between 0 and 1, or an array of such.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Float64Type;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use crate::Call;
use crate::collection::ListItem;
use crate::mismatch::with_sql;

#[derive(Debug, Clone)]
pub(super) struct Percentages {
    pub values: Vec<f64>,
    is_array: bool,
}

impl Percentages {
    /// One percentage.
    pub fn single(value: f64) -> Self {
        Self { values: vec![value], is_array: false }
    }

    /// An array of percentages.
    pub fn several(values: Vec<f64>) -> Self {
        Self { values, is_array: true }
    }

    /// The argument `i`; `sql` is the call as messages show it.
    pub fn of(call: &Call, i: usize, sql: &str) -> Result<Self> {
        let arg = &call.args[i];
        let unexpected = || {
            let e = call.unexpected_input(i, "(\"DOUBLE\" or \"ARRAY<DOUBLE>\")");
            with_sql(e, sql)
        };
        let is_array = match &arg.data_type {
            DataType::Array { element, contains_null: false }
                if element.is_numeric() || element.is_string() =>
            {
                true
            }
            DataType::Array { element, .. } if **element == DataType::Null => true,
            DataType::Array { .. } => return Err(unexpected()),
            t if t.is_numeric() || t.is_string() || *t == DataType::Null => false,
            _ => return Err(unexpected()),
        };
        let Some(constant) = &arg.constant else {
            return Err(mismatch("NON_FOLDABLE_INPUT", sql)
                .param("inputName", "`percentage`")
                .param("inputType", if is_array { "\"ARRAY<DOUBLE>\"" } else { "\"DOUBLE\"" })
                .param("inputExpr", format!("\"{}\"", arg.sql))
                .message(format!("Cannot resolve \"{sql}\": the percentage must be a constant.")));
        };
        let wanted = if is_array { DataType::array(DataType::Double, true) } else { DataType::Double };
        let numbers = crate::cast::constant(constant, &arg.data_type, &wanted, call.context)?;
        let values: Option<Vec<f64>> = match &numbers {
            ScalarValue::Float64(value) => value.map(|v| vec![v]),
            ScalarValue::List(list) if list.is_valid(0) => {
                list.value(0).as_primitive::<Float64Type>().iter().collect()
            }
            _ => None,
        };
        let Some(values) = values else {
            return Err(mismatch("UNEXPECTED_NULL", sql)
                .param("exprName", "percentage")
                .message(format!("Cannot resolve \"{sql}\": the percentage must not be null.")));
        };
        // NaN passes, and counts as 0.
        if values.iter().any(|v| !v.is_nan() && !(0.0..=1.0).contains(v)) {
            return Err(out_of_range(&values, sql));
        }
        Ok(Self { values, is_array })
    }

    /// Fails where NaN is among them.
    pub fn without_nan(self, sql: &str) -> Result<Self> {
        match self.values.iter().any(|v| v.is_nan()) {
            true => Err(out_of_range(&self.values, sql)),
            false => Ok(self),
        }
    }

    /// What the argument is cast to in the plan.
    pub fn coerced(&self) -> DataType {
        if self.is_array { DataType::array(DataType::Double, false) } else { DataType::Double }
    }

    /// The type of a result whose single value has the type.
    pub fn returned(&self, t: DataType) -> DataType {
        if self.is_array { DataType::array(t, false) } else { t }
    }

    /// Results of groups, `None` where a group is NULL: values are converted by `convert`.
    pub fn results(
        &self,
        groups: Vec<Option<Vec<f64>>>,
        t: &DataType,
        convert: impl Fn(Float64Array) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        if !self.is_array {
            let values: Float64Array =
                groups.into_iter().map(|g| g.and_then(|v| v.first().copied())).collect();
            return convert(values);
        }
        let item = ListItem::of(&DataType::array(t.clone(), false))?;
        let nulls = NullBuffer::from(groups.iter().map(Option::is_some).collect::<Vec<_>>());
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(|g| g.as_ref().map_or(0, Vec::len)));
        let values: Float64Array = groups.into_iter().flatten().flatten().map(Some).collect();
        item.list(offsets, convert(values)?, Some(nulls))
    }
}

fn out_of_range(values: &[f64], sql: &str) -> Error {
    let shown = values.iter().map(|v| format!("{v:?}D")).collect::<Vec<_>>().join(",");
    mismatch("VALUE_OUT_OF_RANGE", sql)
        .param("exprName", "percentage")
        .param("valueRange", "[0.0, 1.0]")
        .param("currentValue", &shown)
        .message(format!("Cannot resolve \"{sql}\": the percentage must be between 0 and 1, but is {shown}."))
}

fn mismatch(subclass: &str, sql: &str) -> Error {
    Error::new(format!("DATATYPE_MISMATCH.{subclass}")).param("sqlExpr", format!("\"{sql}\""))
}
