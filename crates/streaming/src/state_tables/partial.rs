//! What is shown of the partial result of an aggregate: the columns that Spark keeps for it (`aggBufferAttributes`), by their names.
//!
//! Ours have the call before them, `sum#7[count]`. A function that is not here keeps something else in Spark, and is shown as it is.

use arrow::datatypes::{DataType, FieldRef};

use super::shown::{Part, Sum, What};

/// A column that an aggregate keeps.
struct Kept<'a> {
    call: &'a str,
    name: &'a str,
    place: usize,
    data_type: &'a DataType,
}

/// The columns of the partial results, the first of which is in this place.
pub(super) fn shown(values: &[FieldRef], first: usize) -> Vec<Part> {
    let kept: Vec<Kept> =
        values.iter().enumerate().map(|(i, f)| Kept::of(f.name(), first + i, f.data_type())).collect();
    kept.chunk_by(|a, b| !a.call.is_empty() && a.call == b.call).flat_map(of_call).collect()
}

impl<'a> Kept<'a> {
    fn of(column: &'a str, place: usize, data_type: &'a DataType) -> Self {
        let parts = column.strip_suffix(']').and_then(|c| c.split_once('['));
        let (call, name) = parts.unwrap_or(("", column));
        Self { call, name, place, data_type }
    }

    fn shown_as(&self, name: &str) -> Part {
        Part { name: name.to_string(), what: What::Column(self.place) }
    }
}

fn of_call(kept: &[Kept]) -> Vec<Part> {
    let call = kept.first().map_or("", |k| k.call);
    // The function of `count(1)` and `count#7`.
    let function = call.split(['(', '#']).next().unwrap_or(call);
    match function {
        "sum" | "try_sum" => sum(kept, function == "try_sum"),
        "avg" | "mean" | "try_avg" => average(kept),
        _ => {
            let wanted = columns(function);
            let found: Vec<Part> =
                wanted.iter().filter_map(|(name, i)| kept.get(*i).map(|k| k.shown_as(name))).collect();
            if found.is_empty() { as_they_are(kept) } else { found }
        }
    }
}

fn as_they_are(kept: &[Kept]) -> Vec<Part> {
    kept.iter().map(|k| k.shown_as(k.name)).collect()
}

impl Sum {
    fn of(kept: &[Kept], sum: usize) -> Self {
        Self { sum, overflow: kept.get(2).map(|k| k.place), absent: None, unscaled: None }
    }
}

/// What Spark has, and which of our columns that is.
fn columns(function: &str) -> &'static [(&'static str, usize)] {
    match function {
        "min" | "bool_and" | "every" => &[("min", 0)],
        "max" | "bool_or" | "some" | "any" => &[("max", 0)],
        "first" | "first_value" | "any_value" => &[("first", 0), ("valueSet", 1)],
        "last" | "last_value" => &[("last", 0), ("valueSet", 1)],
        "bit_and" => &[("bit_and", 0)],
        "bit_or" => &[("bit_or", 0)],
        "bit_xor" => &[("bit_xor", 0)],
        "product" => &[("product", 0)],
        "max_by" | "min_by" => &[("valueWithExtremumOrdering", 0), ("extremumOrdering", 1)],
        "stddev" | "std" | "stddev_samp" | "stddev_pop" | "variance" | "var_samp" | "var_pop" => {
            &[("n", 0), ("avg", 1), ("m2", 2)]
        }
        "skewness" => &[("n", 0), ("avg", 1), ("m2", 2), ("m3", 3)],
        "covar_pop" | "covar_samp" | "regr_sxy" => &[("n", 0), ("xAvg", 1), ("yAvg", 2), ("ck", 3)],
        "corr" | "regr_r2" => &[("n", 0), ("xAvg", 1), ("yAvg", 2), ("ck", 3), ("xMk", 4), ("yMk", 5)],
        // Regressions are of y on x, which is our second column.
        "regr_syy" => &[("n", 0), ("avg", 1), ("m2", 6)],
        "regr_sxx" => &[("n", 0), ("avg", 2), ("m2", 7)],
        "regr_slope" | "regr_intercept" => {
            &[("n", 0), ("xAvg", 2), ("yAvg", 1), ("ck", 3), ("n", 0), ("avg", 2), ("m2", 7)]
        }
        _ => &[],
    }
}

/// A sum is NULL where there is nothing to add, but of decimals, which have a column for it.
fn sum(kept: &[Kept], tries: bool) -> Vec<Part> {
    let [sum, count, ..] = kept else { return as_they_are(kept) };
    let unscaled = precision(sum).filter(|p| *p <= 18).map(|_| DataType::Int64);
    let has_mark = match unscaled {
        Some(_) => false,
        None => precision(sum).is_some() || (tries && sum.data_type.is_integer()),
    };
    let what =
        What::Sum(Sum { absent: (!has_mark).then_some(count.place), unscaled, ..Sum::of(kept, sum.place) });
    let mut parts = vec![Part { name: "sum".to_string(), what }];
    if has_mark {
        parts.push(Part { name: "isEmpty".to_string(), what: What::IsZero(count.place) });
    }
    parts
}

fn average(kept: &[Kept]) -> Vec<Part> {
    let [sum, count, ..] = kept else { return as_they_are(kept) };
    let unscaled = precision(sum).filter(|p| *p <= 21).map(|_| DataType::Float64);
    let what = What::Sum(Sum { unscaled, ..Sum::of(kept, sum.place) });
    vec![Part { name: "sum".to_string(), what }, count.shown_as("count")]
}

/// Of a sum of decimals the digits, ten more than those of the values. Short ones Spark adds up as numbers without a point
/// (`DecimalAggregates`).
fn precision(sum: &Kept) -> Option<u8> {
    match sum.data_type {
        DataType::Decimal128(precision, _) => Some(*precision),
        _ => None,
    }
}
