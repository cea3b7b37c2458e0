//! `df.stat`, `describe` and `summary`, as queries over the DataFrame (Spark's `StatFunctions` and `FrequentItems`).

use boathouse_spec::{
    CastMode, DataType, Error, Expr, Literal, Pivot, Relation, RelationNode, Result, Statistic, StructField,
    StructType, parse_attribute_name,
};
use datafusion::logical_expr::Expr as DfExpr;

use super::Analyzer;
use super::aggregate_call::of_resolved;
use super::analyzed::Analyzed;
use super::project::Item;
use crate::rows::{self, Value};

/// What `summary()` shows where nothing is named.
const SUMMARY: [&str; 8] = ["count", "mean", "stddev", "min", "25%", "50%", "75%", "max"];
/// What `describe()` shows.
const DESCRIBE: [&str; 5] = ["count", "mean", "stddev", "min", "max"];
/// The accuracy of the percentiles of `summary`.
const ACCURACY: i32 = 10_000;

impl Analyzer {
    pub(super) fn statistic(&mut self, input: &Relation, statistic: &Statistic) -> Result<Analyzed> {
        match statistic {
            Statistic::Summary(names) if names.is_empty() => self.summary(input, &SUMMARY.map(String::from)),
            Statistic::Summary(names) => self.summary(input, names),
            Statistic::Describe(columns) => self.describe(input, columns),
            Statistic::Crosstab(a, b) => self.crosstab(input, a, b),
            Statistic::Covariance(a, b) => {
                self.of_two_columns(input, a, b, "covariance", "covar_samp", "cov")
            }
            Statistic::Correlation { a, b, method } => {
                if let Some(other) = method.as_deref().filter(|m| *m != "pearson") {
                    return Err(illegal(format!(
                        "requirement failed: Currently only the calculation of the Pearson Correlation coefficient is \
                         supported, not '{other}'."
                    )));
                }
                self.of_two_columns(input, a, b, "correlation", "corr", "corr")
            }
            Statistic::ApproxQuantile { columns, probabilities, relative_error } => {
                self.approx_quantile(input, columns, probabilities, *relative_error)
            }
            Statistic::FrequentItems { columns, support } => self.frequent_items(input, columns, *support),
            Statistic::SampleBy { column, fractions, seed } => {
                self.sample_by(input, column, fractions, *seed)
            }
        }
    }

    fn describe(&mut self, input: &Relation, columns: &[String]) -> Result<Analyzed> {
        if columns.is_empty() {
            return self.summary(input, &DESCRIBE.map(String::from));
        }
        let exprs = columns.iter().map(|c| column_named(c)).collect::<Result<Vec<_>>>()?;
        let selected = RelationNode::Project { input: input.clone(), exprs };
        self.summary(&selected.into(), &DESCRIBE.map(String::from))
    }

    /// One row a statistic, one column of text for each column of numbers or strings.
    fn summary(&mut self, input: &Relation, statistics: &[String]) -> Result<Analyzed> {
        let percentiles = percentiles(statistics)?;
        let columns: Vec<StructField> = self
            .query(input)?
            .schema()
            .fields
            .into_iter()
            .filter(|f| f.data_type.is_numeric() || f.data_type.is_string())
            .collect();
        let mut maps = Vec::with_capacity(columns.len());
        for column in &columns {
            maps.push(summary_map(column, statistics, &percentiles)?.alias(&column.name));
        }
        if maps.is_empty() {
            let schema = StructType::new(vec![StructField::new("summary", DataType::STRING, true)]);
            let rows: Vec<Vec<Value>> = statistics.iter().map(|s| vec![Value::from(s.as_str())]).collect();
            let batch = rows::batch(&schema, &rows)?;
            return self.batches(&schema, vec![batch]);
        }
        let aggregated: Relation = RelationNode::Project { input: input.clone(), exprs: maps }.into();
        let names = Expr::Literal(Literal::Array {
            element_type: DataType::STRING,
            values: statistics.iter().map(Literal::string).collect(),
        });
        let exploded = Expr::call("explode", vec![names]).alias("summary");
        let exprs = vec![Expr::star(), exploded];
        let rows: Relation = RelationNode::Project { input: aggregated, exprs }.into();
        let mut output = vec![Expr::column(["summary"])];
        // The names are an array of strings that may be NULL, for all the analysis knows.
        let nullable = |mut analyzed: Analyzed| {
            if let Some(first) = analyzed.output.first_mut() {
                first.nullable = true;
            }
            analyzed
        };
        for column in &columns {
            let value =
                Expr::call("element_at", vec![Expr::column([&column.name]), Expr::column(["summary"])]);
            output.push(value.alias(&column.name));
        }
        self.project(&rows, &output).map(nullable)
    }

    /// Counts of pairs: a row for each value of the first column, a column for each of the second.
    fn crosstab(&mut self, input: &Relation, a: &str, b: &str) -> Result<Analyzed> {
        let table = format!("{a}_{b}");
        let (a, b) = (column_named(a)?, column_named(b)?);
        let text = |column: &Expr| column.clone().cast(DataType::STRING);
        let shown = |column: &Expr, value: Expr| {
            let missing = Expr::call("isnull", vec![column.clone()]);
            Expr::call("when", vec![missing, Expr::string("null"), value])
        };
        let plain = Expr::call("regexp_replace", vec![text(&b), Expr::string("`"), Expr::string("")]);
        let other = "__crosstab_column";
        let exprs = vec![shown(&a, text(&a)).alias(&table), shown(&b, plain).alias(other)];
        let pairs: Relation = RelationNode::Project { input: input.clone(), exprs }.into();
        let pivot: Relation = RelationNode::Pivot(Pivot {
            input: pairs,
            grouping: Some(vec![Expr::column([&table])]),
            columns: vec![Expr::column([other])],
            values: Vec::new(),
            aggregates: vec![Expr::call("count", vec![Expr::literal(Literal::Integer(1))])],
        })
        .into();
        self.fill_na(&pivot, &[], &[Literal::Long(0)])
    }

    fn of_two_columns(
        &mut self,
        input: &Relation,
        a: &str,
        b: &str,
        what: &str,
        function: &str,
        shown: &str,
    ) -> Result<Analyzed> {
        let analyzed = self.relation(input)?;
        let mut args = Vec::with_capacity(2);
        for name in [a, b] {
            let column = column_named(name)?;
            let value = self.expr(&column, &analyzed)?;
            if !value.data_type.is_numeric() {
                return Err(illegal(format!(
                    "requirement failed: Currently {what} calculation for columns with dataType {} not supported.",
                    value.data_type.simple_string()
                )));
            }
            let number = column.cast(DataType::Double);
            // NULL counts as 0 (Spark's `StatFunctions.collectStatisticalData`).
            args.push(Expr::call("coalesce", vec![number, Expr::Literal(Literal::Double(0.0))]));
        }
        let value = Expr::call(function, args);
        let nan = Expr::Literal(Literal::Double(f64::NAN));
        let none = if function == "corr" { nan } else { Expr::Literal(Literal::Double(0.0)) };
        let exprs = [Expr::call("coalesce", vec![value, none]).alias(shown)];
        self.project_analyzed(analyzed, &exprs)
    }

    /// One row: for each column the values at the probabilities.
    fn approx_quantile(
        &mut self,
        input: &Relation,
        columns: &[String],
        probabilities: &[f64],
        relative_error: f64,
    ) -> Result<Analyzed> {
        if relative_error < 0.0 {
            return Err(illegal(format!(
                "requirement failed: Relative Error must be non-negative but got {relative_error}"
            )));
        }
        if let Some(p) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(illegal(format!(
                "requirement failed: percentile should be in the range [0.0, 1.0], not {p}"
            )));
        }
        let input = self.relation(input)?;
        let mut values = Vec::with_capacity(columns.len());
        for name in columns {
            let value = self.expr(&column_named(name)?, &input)?;
            if !value.data_type.is_numeric() {
                return Err(illegal(format!(
                    "requirement failed: Quantile calculation for column {name} with data type {} is not supported.",
                    class_name(&value.data_type)
                )));
            }
            let value = self.implicit(value, &DataType::Double)?;
            let resolved = boathouse_functions::approx_quantile(probabilities, relative_error, &self.context);
            let nan = self.builtin("isnan", vec![value.clone()])?.expr;
            let filter = DfExpr::Not(Box::new(nan));
            values.push(of_resolved(resolved, vec![value.expr], Some(filter)));
        }
        let array = self.builtin("array", values)?.named("approx_quantile");
        self.global_aggregate(input, vec![Item::new(array)])
    }

    fn frequent_items(
        &mut self,
        input: &Relation,
        columns: &[String],
        support: Option<f64>,
    ) -> Result<Analyzed> {
        let support = support.unwrap_or(0.01);
        if !(1e-4..=1.0).contains(&support) {
            return Err(illegal(format!(
                "requirement failed: Support must be in [1e-4, 1], but got {support}."
            )));
        }
        let input = self.relation(input)?;
        let size = (1.0 / support) as usize;
        let mut items = Vec::with_capacity(columns.len());
        for name in columns {
            let value = self.expr(&column_named(name)?, &input)?;
            let resolved = boathouse_functions::frequent_items(&value.data_type, size, &self.context)?;
            let shown = format!("{name}_freqItems");
            let value = of_resolved(resolved, vec![value.expr], None).named(shown);
            items.push(Item::new(value));
        }
        self.global_aggregate(input, items)
    }

    /// The rows of each stratum with its probability; strata that are not named have none.
    fn sample_by(
        &mut self,
        input: &Relation,
        column: &Expr,
        fractions: &[(Literal, f64)],
        seed: Option<i64>,
    ) -> Result<Analyzed> {
        if let Some((stratum, fraction)) = fractions.iter().find(|(_, f)| !(0.0..=1.0).contains(f)) {
            let stratum = self.literal(stratum)?.name;
            return Err(illegal(format!(
                "requirement failed: Fractions must be in [0, 1], but got fraction {fraction} for stratum {stratum}."
            )));
        }
        let seed = seed.unwrap_or_else(boathouse_spec::clock::now_us);
        let mut branches = Vec::with_capacity(2 * fractions.len() + 1);
        for (stratum, fraction) in fractions {
            branches.push(Expr::operator("<=>", vec![column.clone(), Expr::Literal(stratum.clone())]));
            branches.push(Expr::Literal(Literal::Double(*fraction)));
        }
        branches.push(Expr::Literal(Literal::Double(0.0)));
        let fraction = if fractions.is_empty() { branches.remove(0) } else { Expr::call("when", branches) };
        let random = Expr::call("rand", vec![Expr::Literal(Literal::Long(seed))]);
        let analyzed = self.relation(input)?;
        self.filter_analyzed(analyzed, &Expr::operator("<", vec![random, fraction]))
    }
}

/// A type as messages of this API show it: the name of Spark's class.
fn class_name(t: &DataType) -> String {
    let name = t.simple_string();
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => format!("{}{}Type", first.to_uppercase(), letters.as_str()),
        None => name,
    }
}

/// A column by its own name.
fn column_of(name: &str) -> Expr {
    Expr::column([name])
}

/// A column by the name that a user gave as text, which `col("..")` would read so.
fn column_named(text: &str) -> Result<Expr> {
    Ok(Expr::column(parse_attribute_name(text)?))
}

/// The fractions of `25%` and its like, in the order of the statistics.
fn percentiles(statistics: &[String]) -> Result<Vec<f64>> {
    let mut out = Vec::new();
    for statistic in statistics {
        let Some(number) = statistic.strip_suffix('%') else { continue };
        let percent = number.trim().parse::<f64>().map_err(|_| unrecognized(statistic))?;
        out.push(percent / 100.0);
    }
    if out.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return Err(illegal("requirement failed: Percentiles must be in the range [0, 1]".to_string()));
    }
    Ok(out)
}

/// `map('count', CAST(count(c) AS STRING), ..)`
fn summary_map(column: &StructField, statistics: &[String], percentiles: &[f64]) -> Result<Expr> {
    let value = column_of(&column.name);
    let number = match column.data_type.is_string() {
        true => Expr::Cast {
            expr: Box::new(value.clone()),
            to: DataType::Double,
            mode: CastMode::Try,
            origin: Default::default(),
        },
        false => value.clone(),
    };
    let wanted = Expr::Literal(Literal::Array {
        element_type: DataType::Double,
        values: percentiles.iter().map(|p| Literal::Double(*p)).collect(),
    });
    let quantiles = Expr::call(
        "percentile_approx",
        vec![number.clone(), wanted, Expr::Literal(Literal::Integer(ACCURACY))],
    );
    let mut next = 0;
    let mut entries = Vec::with_capacity(2 * statistics.len());
    for statistic in statistics {
        let computed = match statistic.to_lowercase().as_str() {
            "count" => Expr::call("count", vec![value.clone()]),
            "count_distinct" => distinct_count(value.clone()),
            "approx_count_distinct" => Expr::call("approx_count_distinct", vec![value.clone()]),
            "mean" => Expr::call("avg", vec![number.clone()]),
            "stddev" => Expr::call("stddev", vec![number.clone()]),
            "min" => Expr::call("min", vec![value.clone()]),
            "max" => Expr::call("max", vec![value.clone()]),
            other if other.ends_with('%') => {
                next += 1;
                Expr::call("get", vec![quantiles.clone(), Expr::Literal(Literal::Integer(next - 1))])
            }
            _ => return Err(unrecognized(statistic)),
        };
        entries.push(Expr::string(statistic));
        entries.push(computed.cast(DataType::STRING));
    }
    Ok(Expr::call("map", entries))
}

fn distinct_count(value: Expr) -> Expr {
    Expr::Call(Box::new(boathouse_spec::Call {
        name: vec!["count".to_string()],
        args: vec![value],
        distinct: true,
        ..Default::default()
    }))
}

fn unrecognized(statistic: &str) -> Error {
    Error::new("UNRECOGNIZED_STATISTIC")
        .param("stats", format!("'{statistic}'"))
        .message(format!(
            "The statistic '{statistic}' is not recognized. Valid statistics include `count`, `count_distinct`, \
             `approx_count_distinct`, `mean`, `stddev`, `min`, `max`, and percentile values such as '25%'."
        ))
        .exception("IllegalArgumentException")
}

/// A requirement of Spark's API that has no error class.
fn illegal(message: String) -> Error {
    Error::new("").message(message).exception("IllegalArgumentException")
}
