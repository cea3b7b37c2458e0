//! CASE, IF, COALESCE and their kin: lazy, so they become DataFusion's CASE.

use boathouse_functions::coercion;
use boathouse_spec::{Call, DataType, Error, Result};
use datafusion::logical_expr::{Case, Expr as DfExpr, Operator, lit};

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::operator::binary;
use super::{error, scalar_call::call_name};

impl Analyzer {
    pub(super) fn conditional(
        &mut self,
        name: &str,
        call: &Call,
        over: &Analyzed,
    ) -> Result<Option<TypedExpr>> {
        Ok(Some(match name {
            "when" => {
                let args = self.args(&call.args, over)?;
                let args = self.values_in_one_collation(args)?;
                let shown = case_name(&args);
                // What comes after WHEN true is never reached.
                let last = args.chunks_exact(2).position(|pair| pair[0].expr == lit(true));
                self.case(args, last, &shown)?
            }
            "if" => {
                let [condition, yes, no] = self.exactly(call, over)?;
                let shown = format!("(IF({}, {}, {}))", condition.name, yes.name, no.name);
                if !matches!(condition.data_type, DataType::Boolean | DataType::Null) {
                    return Err(error::mismatch(
                        "UNEXPECTED_INPUT_TYPE",
                        &shown,
                        format!("the condition must be BOOLEAN, not {}.", condition.data_type.sql()),
                    )
                    .param("paramIndex", "first")
                    .param("requiredType", "\"BOOLEAN\"")
                    .param("inputSql", format!("\"{}\"", condition.name))
                    .param("inputType", error::quoted(&condition.data_type)));
                }
                let condition = self.implicit(condition, &DataType::Boolean)?;
                self.case(vec![condition, yes, no], None, &shown)?
            }
            // Each result is cast where its branch is taken (Spark's `Decode` becomes a CASE).
            "decode" if call.args.len() > 2 => {
                let args = self.args(&call.args, over)?;
                let shown = call_name(name, &args);
                let mut args = args.into_iter();
                let Some(value) = args.next() else {
                    return Err(Error::internal("decode without arguments"));
                };
                let mut branches = Vec::with_capacity(args.len());
                while let Some(search) = args.next() {
                    match args.next() {
                        Some(result) => {
                            branches.push(self.comparison(
                                Operator::IsNotDistinctFrom,
                                value.clone(),
                                search,
                            )?);
                            branches.push(result);
                        }
                        None => branches.push(search),
                    }
                }
                self.case(branches, None, &shown)?
            }
            "coalesce" => {
                let args = self.args(&call.args, over)?;
                if args.is_empty() {
                    return Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
                        .param("functionName", "`coalesce`")
                        .param("expectedNum", "> 0")
                        .param("actualNum", 0)
                        .message("coalesce takes at least one argument."));
                }
                let shown = call_name("coalesce", &args);
                self.coalesce(args, "coalesce", shown)?
            }
            "ifnull" | "nvl" => {
                let args: [TypedExpr; 2] = self.exactly(call, over)?;
                let shown = call_name(name, &args);
                self.coalesce(args.to_vec(), name, shown)?
            }
            "nvl2" => {
                let [value, some, none] = self.exactly(call, over)?;
                let shown = call_name(name, &[value.clone(), some.clone(), none.clone()]);
                let present =
                    TypedExpr::new(DfExpr::IsNotNull(Box::new(value.expr)), DataType::Boolean, false, "");
                self.case(vec![present, some, none], None, &shown)?
            }
            "nullif" => {
                let [a, b] = self.exactly(call, over)?;
                let shown = call_name(name, &[a.clone(), b.clone()]);
                // Spark compares by way of a common expression, which is no CHAR column.
                let equal = self.comparison_as_given(Operator::Eq, a.clone(), b)?;
                let null = TypedExpr::new(
                    DfExpr::Literal(datafusion::scalar::ScalarValue::Null, None),
                    DataType::Null,
                    true,
                    "NULL",
                );
                self.case(vec![equal, null, a], None, &shown)?
            }
            _ => return Ok(None),
        }))
    }

    fn coalesce(&mut self, args: Vec<TypedExpr>, name: &str, shown: String) -> Result<TypedExpr> {
        let before = call_name(name, &args);
        let args = self.one_collation(args)?;
        let shown = if before == shown { call_name(name, &args) } else { shown };
        let strength = super::collation::strength_of(&args);
        let types: Vec<DataType> = args.iter().map(|a| a.data_type.clone()).collect();
        let Some(common) = coercion::common_type(&types, &self.context) else {
            return Err(different_types(&types, name, &shown));
        };
        let mut args = args.into_iter().map(|a| self.implicit(a, &common)).collect::<Result<Vec<_>>>()?;
        let nullable = args.iter().all(|a| a.nullable);
        let Some(last) = args.pop() else {
            return Err(Error::internal("coalesce without arguments"));
        };
        if args.is_empty() {
            return Ok(last.named(shown));
        }
        let branches = args
            .into_iter()
            .map(|a| (Box::new(DfExpr::IsNotNull(Box::new(a.expr.clone()))), Box::new(a.expr)))
            .collect();
        let case = DfExpr::Case(Case::new(None, branches, Some(Box::new(last.expr))));
        Ok(TypedExpr::new(case, common, nullable, shown).with_collation(strength))
    }

    /// The arguments of [`Self::case`] with the strings among its values in one collation.
    fn values_in_one_collation(&mut self, args: Vec<TypedExpr>) -> Result<Vec<TypedExpr>> {
        let is_value = |i: usize| i % 2 == 1 || i + 1 == args.len();
        let values = (0..args.len()).filter(|i| is_value(*i)).map(|i| args[i].clone()).collect();
        let mut values = self.one_collation(values)?.into_iter();
        let placed = |i: usize| if is_value(i) { values.next() } else { None };
        let placed: Vec<_> = (0..args.len()).map(placed).collect();
        Ok(args.into_iter().zip(placed).map(|(arg, value)| value.unwrap_or(arg)).collect())
    }

    /// `condition, value, condition, value, ..., [otherwise]`; no row comes further than to the branch `last`.
    fn case(&mut self, args: Vec<TypedExpr>, last: Option<usize>, shown: &str) -> Result<TypedExpr> {
        let mut branches = Vec::new();
        let mut otherwise = None;
        let mut args = args.into_iter();
        while let Some(first) = args.next() {
            match args.next() {
                Some(value) => branches.push((first, value)),
                None => otherwise = Some(first),
            }
        }
        let values = branches
            .iter()
            .map(|(_, v): &(TypedExpr, TypedExpr)| v.clone())
            .chain(otherwise.clone())
            .collect();
        let mut values = self.one_collation(values)?.into_iter();
        for (_, v) in &mut branches {
            *v = values.next().unwrap_or_else(|| v.clone());
        }
        otherwise = values.next().or(otherwise);
        let strength = super::collation::strength_of(branches.iter().map(|(_, v)| v).chain(&otherwise));
        let types: Vec<DataType> =
            branches.iter().map(|(_, v)| v).chain(&otherwise).map(|v| v.data_type.clone()).collect();
        let Some(common) = coercion::common_type(&types, &self.context) else {
            return Err(different_types(&types, "casewhen", shown));
        };
        let mut pairs = Vec::new();
        let mut nullables = Vec::new();
        for (condition, value) in branches {
            let condition = match condition.data_type {
                DataType::Boolean => condition,
                ref t => {
                    let t = t.clone();
                    return Err(error::mismatch(
                        "UNEXPECTED_INPUT_TYPE",
                        shown,
                        format!("the condition {} must be BOOLEAN, not {}.", condition.name, t.sql()),
                    )
                    .param("paramIndex", "first")
                    .param("requiredType", "\"BOOLEAN\"")
                    .param("inputSql", format!("\"{}\"", condition.name))
                    .param("inputType", error::quoted(&t)));
                }
            };
            let value = self.implicit(value, &common)?;
            nullables.push(value.nullable);
            pairs.push((Box::new(condition.expr), Box::new(value.expr)));
        }
        let otherwise = otherwise.map(|o| self.implicit(o, &common)).transpose()?;
        nullables.push(otherwise.as_ref().is_none_or(|o| o.nullable));
        let nullable = nullables.into_iter().take(last.map_or(usize::MAX, |last| last + 1)).any(|n| n);
        let otherwise = otherwise.map(|o| Box::new(o.expr));
        let case = DfExpr::Case(Case::new(None, pairs, otherwise));
        Ok(TypedExpr::new(case, common, nullable, shown).with_collation(strength))
    }

    /// `value` where `condition`, else NULL.
    pub(super) fn only_if(&mut self, condition: DfExpr, value: TypedExpr) -> TypedExpr {
        let case = DfExpr::Case(Case::new(None, vec![(Box::new(condition), Box::new(value.expr))], None));
        TypedExpr { expr: case, nullable: true, ..value }
    }

    /// `left AND right`
    pub(super) fn both(left: DfExpr, right: DfExpr) -> DfExpr {
        binary(left, Operator::And, right)
    }
}

fn case_name(args: &[TypedExpr]) -> String {
    let mut out = String::from("CASE");
    let mut args = args.iter();
    while let Some(first) = args.next() {
        match args.next() {
            Some(value) => out.push_str(&format!(" WHEN {} THEN {}", first.name, value.name)),
            None => out.push_str(&format!(" ELSE {}", first.name)),
        }
    }
    out + " END"
}

fn different_types(types: &[DataType], function: &str, shown: &str) -> Error {
    let all = types.iter().map(error::quoted).collect::<Vec<_>>().join(", ");
    error::mismatch("DATA_DIFF_TYPES", shown, format!("the values are of different types: {all}."))
        .param("functionName", boathouse_spec::quote(function))
        .param("dataType", format!("[{all}]"))
}
