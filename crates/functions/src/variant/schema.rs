//! `schema_of_variant` and `schema_of_variant_agg`: the type of variants, in SQL, with `OBJECT` for structs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use boathouse_bridge::to_datafusion;
use boathouse_formats::variant::{Kind, MAX_DEPTH, Variant, malformed};
use boathouse_spec::{DataType, Result, StructField, quote_if_needed};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::{VARIANT, Variants};
use crate::{AggregateCall, Call, Context, Registry, Resolved, ResolvedAggregate, SparkAggregate, coercion};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["schema_of_variant"], schema_of_variant);
    r.aggregate(&["schema_of_variant_agg"], schema_of_variant_agg);
}

fn schema_of_variant(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[VARIANT])?;
    Ok(Resolved::new(coerced, DataType::STRING, call.any_nullable(), |inputs| {
        let variants = Variants::argument(inputs, 0)?;
        let out = variants
            .iter()
            .map(|v| v.map(|v| Ok(print(&schema_of(&v, inputs.context())?))).transpose())
            .collect::<Result<StringArray>>()?;
        Ok(Arc::new(out) as ArrayRef)
    }))
}

/// The type of a variant: `Null` for JSON's null, `Variant` where elements have no common type.
fn schema_of(v: &Variant, context: &Context) -> Result<DataType> {
    schema_at(v, context, 0)
}

fn schema_at(v: &Variant, context: &Context, depth: usize) -> Result<DataType> {
    if depth > MAX_DEPTH {
        return Err(malformed());
    }
    Ok(match v.kind()? {
        Kind::Null => DataType::Null,
        Kind::Boolean(_) => DataType::Boolean,
        Kind::Long(_) => DataType::Long,
        Kind::Float(_) => DataType::Float,
        Kind::Double(_) => DataType::Double,
        Kind::Decimal { unscaled, scale } => {
            let (mut digits, mut scale) = (unscaled.unsigned_abs(), scale);
            while scale > 0 && digits % 10 == 0 {
                digits /= 10;
                scale -= 1;
            }
            let precision = digits.checked_ilog10().map_or(1, |d| d as u8 + 1);
            DataType::Decimal { precision: precision.max(scale), scale }
        }
        Kind::String(_) | Kind::Uuid(_) => DataType::STRING,
        Kind::Binary(_) => DataType::Binary,
        Kind::Date(_) => DataType::Date,
        Kind::Timestamp(_) => DataType::Timestamp,
        Kind::TimestampNtz(_) => DataType::TimestampNtz,
        Kind::Array(_) => {
            let mut element = DataType::Null;
            v.for_each_element(|v| {
                element = merge(&element, &schema_at(&v, context, depth + 1)?, context);
                Ok(())
            })?;
            DataType::array(element, true)
        }
        Kind::Object(_) => {
            let mut fields = Vec::new();
            v.for_each_field(|name, v| {
                fields.push(StructField::new(name, schema_at(&v, context, depth + 1)?, true));
                Ok(())
            })?;
            DataType::structure(fields)
        }
    })
}

/// The type that holds both; VARIANT where there is no other.
fn merge(a: &DataType, b: &DataType, context: &Context) -> DataType {
    match (a, b) {
        (a, b) if a == b => a.clone(),
        (DataType::Null, t) | (t, DataType::Null) => t.clone(),
        (DataType::Array { element: x, .. }, DataType::Array { element: y, .. }) => {
            DataType::array(merge(x, y, context), true)
        }
        (DataType::Struct(x), DataType::Struct(y)) => {
            let mut fields: BTreeMap<&str, DataType> =
                x.fields.iter().map(|f| (f.name.as_str(), f.data_type.clone())).collect();
            for f in &y.fields {
                let merged = match fields.get(f.name.as_str()) {
                    Some(t) => merge(t, &f.data_type, context),
                    None => f.data_type.clone(),
                };
                fields.insert(&f.name, merged);
            }
            DataType::structure(fields.into_iter().map(|(name, t)| StructField::new(name, t, true)).collect())
        }
        (DataType::Decimal { .. }, DataType::Decimal { .. } | DataType::Long)
        | (DataType::Long, DataType::Decimal { .. }) => {
            let digits = |t: &DataType| match coercion::decimal_of(t) {
                DataType::Decimal { precision, scale } => (precision, scale),
                _ => (38, 0),
            };
            let ((p, s), (q, t)) = (digits(a), digits(b));
            let (scale, whole) = (s.max(t), (p - s).max(q - t));
            match whole + scale {
                precision @ ..=38 => DataType::Decimal { precision, scale },
                _ => DataType::Double,
            }
        }
        (a, b) if a.is_numeric() && b.is_numeric() => match (a, b) {
            (DataType::Decimal { .. }, _) | (_, DataType::Decimal { .. }) => DataType::Double,
            _ => coercion::tightest_common_type(a, b, context).unwrap_or(DataType::Double),
        },
        (a, b) if a.is_datetime() && b.is_datetime() => {
            coercion::tightest_common_type(a, b, context).unwrap_or(DataType::Variant)
        }
        _ => DataType::Variant,
    }
}

fn print(t: &DataType) -> String {
    match t {
        DataType::Struct(s) => {
            let fields: Vec<String> = s
                .fields
                .iter()
                .map(|f| format!("{}: {}", quote_if_needed(&f.name), print(&f.data_type)))
                .collect();
            format!("OBJECT<{}>", fields.join(", "))
        }
        DataType::Array { element, .. } => format!("ARRAY<{}>", print(element)),
        DataType::Null => "VOID".into(),
        other => other.sql(),
    }
}

fn schema_of_variant_agg(call: &AggregateCall) -> Result<ResolvedAggregate> {
    call.call.arity(1..=1)?;
    let coerced = call.call.exactly(&[VARIANT])?;
    let context = call.call.context.clone();
    let udf = SparkAggregate::new(
        "schema_of_variant_agg",
        &coerced,
        &DataType::STRING,
        false,
        vec![("schema", DataType::STRING)],
        call.call.context,
        move || Ok(Box::new(SchemaAccumulator { schema: DataType::Null, context: context.clone() })),
    )
    .with_empty(ScalarValue::from("VOID"))
    .build();
    Ok(ResolvedAggregate::new(coerced, DataType::STRING, false, udf))
}

#[derive(Debug)]
struct SchemaAccumulator {
    schema: DataType,
    context: Context,
}

impl SchemaAccumulator {
    fn take(&mut self, schema: &DataType) {
        self.schema = merge(&self.schema, schema, &self.context);
    }
}

impl Accumulator for SchemaAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for array in values {
            let variants = Variants::of(array).map_err(to_datafusion)?;
            for variant in variants.iter().flatten() {
                let schema = schema_of(&variant, &self.context).map_err(to_datafusion)?;
                self.take(&schema);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::from(print(&self.schema)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.schema.sql().len()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::from(self.schema.json_value().to_string())])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        for state in states {
            for text in state.as_string::<i32>().iter().flatten() {
                let schema = DataType::from_json(text).map_err(to_datafusion)?;
                self.take(&schema);
            }
        }
        Ok(())
    }
}
