//! Boolean operators and comparisons. They become DataFusion's own expressions, so that filters reach scans and joins.

use boathouse_functions::coercion;
use boathouse_spec::{Call, DataType, Error, Expr, Result, StructField, StructType};
use datafusion::logical_expr::{BinaryExpr, Expr as DfExpr, Operator, expr::InList, lit};

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::error;

impl Analyzer {
    pub(super) fn boolean_operator(
        &mut self,
        name: &str,
        call: &Call,
        over: &Analyzed,
    ) -> Result<Option<TypedExpr>> {
        let operator = match name {
            "and" | "or" => return self.and_or(name, call, over).map(Some),
            "not" | "!" => {
                let [arg] = self.exactly(call, over)?;
                let shown = format!("(NOT {})", arg.name);
                let arg = self.boolean_operand(arg, &shown)?;
                let nullable = arg.nullable;
                return Ok(Some(TypedExpr::new(
                    DfExpr::Not(Box::new(arg.expr)),
                    DataType::Boolean,
                    nullable,
                    shown,
                )));
            }
            "isnull" | "isnotnull" => {
                let [arg] = self.exactly(call, over)?;
                let is_null = name == "isnull";
                let suffix = if is_null { "IS NULL" } else { "IS NOT NULL" };
                // What is never NULL is not computed, as its value may be an error (Spark's `NullPropagation`).
                let expr = if !arg.nullable && super::expr::is_foldable(&arg.expr) {
                    datafusion::logical_expr::lit(!is_null)
                } else if is_null {
                    DfExpr::IsNull(Box::new(arg.expr))
                } else {
                    DfExpr::IsNotNull(Box::new(arg.expr))
                };
                let shown = format!("({} {suffix})", arg.name);
                return Ok(Some(TypedExpr::new(expr, DataType::Boolean, false, shown)));
            }
            "in" => return self.in_list(call, over).map(Some),
            "between" => return self.between(call, over).map(Some),
            "==" | "=" => Operator::Eq,
            "!=" | "<>" => Operator::NotEq,
            "<" => Operator::Lt,
            "<=" => Operator::LtEq,
            ">" => Operator::Gt,
            ">=" => Operator::GtEq,
            "<=>" => Operator::IsNotDistinctFrom,
            _ => return Ok(None),
        };
        let [left, right] = self.exactly(call, over)?;
        self.comparison(operator, left, right).map(Some)
    }

    /// The arguments of a call that takes exactly `N`.
    pub(super) fn exactly<const N: usize>(&mut self, call: &Call, over: &Analyzed) -> Result<[TypedExpr; N]> {
        let args = self.args(&call.args, over)?;
        args.try_into().map_err(|args: Vec<TypedExpr>| {
            let name = call.name.last().cloned().unwrap_or_default();
            Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
                .param("functionName", boathouse_spec::quote(&name))
                .param("expectedNum", N)
                .param("actualNum", args.len())
                .message(format!("{name} takes {N} arguments, not {}.", args.len()))
        })
    }

    fn and_or(&mut self, name: &str, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        // A long chain `a AND b AND c ...` nests to the left: walk it without recursion.
        let mut operands: Vec<&Expr> = Vec::new();
        let mut current = call;
        loop {
            let [left, right] = current.args.as_slice() else {
                return Err(Error::internal(format!("{name} with {} operands", current.args.len())));
            };
            operands.push(right);
            match left {
                Expr::Call(inner)
                    if inner.name.len() == 1
                        && inner.name[0].eq_ignore_ascii_case(name)
                        && inner.args.len() == 2 =>
                {
                    current = inner;
                }
                other => {
                    operands.push(other);
                    break;
                }
            }
        }
        let (operator, word) = if name == "and" { (Operator::And, "AND") } else { (Operator::Or, "OR") };
        let mut result: Option<TypedExpr> = None;
        for operand in operands.into_iter().rev() {
            let value = self.expr(operand, over)?;
            result = Some(match result {
                None => value,
                Some(left) => {
                    let shown = format!("({} {word} {})", left.name, value.name);
                    let (left, right) = self.boolean_operands(left, value, &shown)?;
                    let nullable = left.nullable || right.nullable;
                    TypedExpr::new(
                        binary(left.expr, operator, right.expr),
                        DataType::Boolean,
                        nullable,
                        shown,
                    )
                }
            });
        }
        result.ok_or_else(|| Error::internal("a boolean operator without operands"))
    }

    fn boolean_operands(
        &mut self,
        left: TypedExpr,
        right: TypedExpr,
        shown: &str,
    ) -> Result<(TypedExpr, TypedExpr)> {
        let fits = |t: &DataType| matches!(t, DataType::Boolean | DataType::Null) || t.is_string();
        if fits(&left.data_type)
            && fits(&right.data_type)
            && !(left.data_type.is_string() && right.data_type.is_string())
        {
            return Ok((self.implicit(left, &DataType::Boolean)?, self.implicit(right, &DataType::Boolean)?));
        }
        let (l, r) = (error::quoted(&left.data_type), error::quoted(&right.data_type));
        if left.data_type == right.data_type {
            return Err(error::mismatch(
                "BINARY_OP_WRONG_TYPE",
                shown,
                format!("the operands must be BOOLEAN, not {l}."),
            )
            .param("inputType", "\"BOOLEAN\"")
            .param("actualDataType", l));
        }
        Err(error::mismatch("BINARY_OP_DIFF_TYPES", shown, format!("the operands are {l} and {r}."))
            .param("left", l)
            .param("right", r))
    }

    fn boolean_operand(&mut self, value: TypedExpr, shown: &str) -> Result<TypedExpr> {
        match value.data_type {
            DataType::Boolean => Ok(value),
            DataType::Null => self.implicit(value, &DataType::Boolean),
            _ if value.data_type.is_string() => self.implicit(value, &DataType::Boolean),
            _ => Err(error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                shown,
                format!("the operand must be BOOLEAN, not {}.", value.data_type.sql()),
            )
            .param("paramIndex", "first")
            .param("requiredType", "\"BOOLEAN\"")
            .param("inputSql", format!("\"{}\"", value.name))
            .param("inputType", error::quoted(&value.data_type))),
        }
    }

    pub(super) fn comparison(
        &mut self,
        operator: Operator,
        left: TypedExpr,
        right: TypedExpr,
    ) -> Result<TypedExpr> {
        self.compared(operator, left, right, true)
    }

    /// A comparison that does not fill a CHAR column and a constant up to one length.
    pub(super) fn comparison_as_given(
        &mut self,
        operator: Operator,
        left: TypedExpr,
        right: TypedExpr,
    ) -> Result<TypedExpr> {
        self.compared(operator, left, right, false)
    }

    fn compared(
        &mut self,
        operator: Operator,
        left: TypedExpr,
        right: TypedExpr,
        fills_char: bool,
    ) -> Result<TypedExpr> {
        let symbol = match operator {
            Operator::Eq => "=",
            Operator::NotEq => "!=",
            Operator::IsNotDistinctFrom => "<=>",
            Operator::Lt => "<",
            Operator::LtEq => "<=",
            Operator::Gt => ">",
            _ => ">=",
        };
        let shown = match operator {
            // `a != b` is NOT (a = b), and shows so.
            Operator::NotEq => format!("(NOT ({} = {}))", left.name, right.name),
            _ => format!("({} {symbol} {})", left.name, right.name),
        };
        let mut both = self.one_collation(vec![left, right])?;
        if fills_char {
            both = self.with_char_lengths(both);
        }
        let (Some(right), Some(left)) = (both.pop(), both.pop()) else {
            return Err(Error::internal("a comparison without operands"));
        };
        self.determinate(&[&left, &right], &shown)?;
        let shown = match operator {
            Operator::NotEq => format!("(NOT ({} = {}))", left.name, right.name),
            _ => format!("({} {symbol} {})", left.name, right.name),
        };
        let Some(common) = self.comparison_type(&left, &right) else {
            let (l, r) = (error::quoted(&left.data_type), error::quoted(&right.data_type));
            return Err(error::mismatch(
                "BINARY_OP_DIFF_TYPES",
                &shown,
                format!("the operands are {l} and {r}."),
            )
            .param("left", l)
            .param("right", r));
        };
        // Calendar intervals and spatial values are grouped only, not even `=` compares them.
        if !common.is_orderable() {
            return Err(error::mismatch(
                "INVALID_ORDERING_TYPE",
                &shown,
                format!("values of {} have no order.", common.sql()),
            )
            .param("functionName", format!("`{symbol}`"))
            .param("dataType", error::quoted(&common)));
        }
        let narrowed = is_narrowed(&left, &right) || is_narrowed(&right, &left);
        let left = self.implicit(left, &common)?;
        let right = self.implicit(right, &common)?;
        let nullable =
            operator != Operator::IsNotDistinctFrom && (left.nullable || right.nullable || narrowed);
        // NULL is the result at once: errors in the other operand are never met (Spark's `NullPropagation`).
        let is_null = |e: &TypedExpr| matches!(&e.expr, DfExpr::Literal(v, _) if v.is_null());
        if operator != Operator::IsNotDistinctFrom && (is_null(&left) || is_null(&right)) {
            let null = datafusion::scalar::ScalarValue::Boolean(None);
            return Ok(TypedExpr::new(DfExpr::Literal(null, None), DataType::Boolean, true, shown));
        }
        let (left, right) = (self.comparison_key(left)?, self.comparison_key(right)?);
        if needs_spark_order(&left.data_type) {
            let name = match operator {
                Operator::Eq => "==",
                Operator::NotEq => "!=",
                _ => symbol,
            };
            if boathouse_functions::registry().contains(name) {
                return Ok(self.builtin(name, vec![left, right])?.named(shown));
            }
        }
        Ok(TypedExpr::new(binary(left.expr, operator, right.expr), DataType::Boolean, nullable, shown))
    }

    /// The type two operands are compared as.
    pub(super) fn comparison_type(&self, left: &TypedExpr, right: &TypedExpr) -> Option<DataType> {
        let (a, b) = (&left.data_type, &right.data_type);
        if let Some(t) = coercion::tightest_common_type(a, b, &self.context).filter(|_| !mixes_decimals(a, b))
        {
            return Some(t);
        }
        if let Some(t) = type_by_places(a, b) {
            return Some(t);
        }
        if !self.context.ansi {
            // Without ANSI a string is compared as the other side's type.
            let (string, other) = match (a.is_string(), b.is_string()) {
                (true, false) => (a, b),
                (false, true) => (b, a),
                _ => return coercion::wider_type(a, b, &self.context),
            };
            debug_assert!(string.is_string());
            return match other {
                DataType::Float | DataType::Double | DataType::Decimal { .. } => Some(DataType::Double),
                t if t.is_atomic() => Some(t.clone()),
                _ => None,
            };
        }
        if mixes_decimals(a, b) {
            return None;
        }
        coercion::comparison_type(a, b, &self.context)
    }

    fn between(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let [value, low, high] = self.exactly(call, over)?;
        let shown = format!("between({}, {}, {})", value.name, low.name, high.name);
        let once = match value.expr.is_volatile() {
            true => Some(self.between_once(call, over)?),
            false => None,
        };
        let narrowed = [is_narrowed(&value, &low), is_narrowed(&value, &high)];
        let given = [value.nullable || low.nullable, value.nullable || high.nullable];
        let above = self.comparison(Operator::GtEq, value.clone(), low)?;
        let below = self.comparison(Operator::LtEq, value, high)?;
        // The value is computed once for both, and is no literal then.
        let nullable = [above.nullable, below.nullable]
            .iter()
            .zip(narrowed.iter().zip(given))
            .any(|(own, (narrowed, given))| if *narrowed { given } else { *own });
        let both = match once {
            Some(once) => once.expr,
            None => binary(above.expr, Operator::And, below.expr),
        };
        Ok(TypedExpr::new(both, DataType::Boolean, nullable, shown))
    }

    /// BETWEEN of a value that is another each time: `transform(array(value), v -> v BETWEEN low AND high)[0]` asks for it
    /// once.
    fn between_once(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let [value, low, high] = call.args.as_slice() else {
            return Err(Error::internal("BETWEEN without its operands"));
        };
        let parameter = "__between".to_string();
        let variable = Expr::LambdaVariable(vec![parameter.clone()]);
        let body = Expr::operator("between", vec![variable, low.clone(), high.clone()]);
        let lambda = Expr::Lambda { body: Box::new(body), parameters: vec![parameter] };
        let values = Expr::call("array", vec![value.clone()]);
        let results = self.expr(&Expr::call("transform", vec![values, lambda]), over)?;
        let first = self.literal(&boathouse_spec::Literal::Integer(0))?;
        self.builtin("getarrayitem", vec![results, first])
    }

    fn in_list(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let mut args = self.args(&call.args, over)?;
        args = self.one_collation(args)?;
        args = self.with_char_lengths(args);
        if args.is_empty() {
            return Err(Error::internal("IN without operands"));
        }
        let value = args.remove(0);
        let shown = format!(
            "({} IN ({}))",
            value.name,
            args.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        let types: Vec<DataType> =
            std::iter::once(&value).chain(&args).map(|a| a.data_type.clone()).collect();
        let by_places = || types[1..].iter().try_fold(types[0].clone(), |a, b| type_by_places(&a, b));
        let Some(common) = coercion::common_type(&types, &self.context).or_else(by_places) else {
            let all = types.iter().map(error::quoted).collect::<Vec<_>>().join(", ");
            return Err(error::mismatch(
                "DATA_DIFF_TYPES",
                &shown,
                format!("the operands are of different types: {all}."),
            )
            .param("functionName", "`in`")
            .param("dataType", format!("[{all}]")));
        };
        if !common.is_orderable() {
            return Err(error::mismatch(
                "INVALID_ORDERING_TYPE",
                &shown,
                format!("values of {} have no order.", common.sql()),
            )
            .param("functionName", "`in`")
            .param("dataType", error::quoted(&common)));
        }
        let value = self.implicit(value, &common)?;
        let list = args.into_iter().map(|a| self.implicit(a, &common)).collect::<Result<Vec<_>>>()?;
        let nullable = value.nullable || list.iter().any(|a| a.nullable);
        let value = self.comparison_key(value)?;
        let list = list.into_iter().map(|a| self.comparison_key(a)).collect::<Result<Vec<_>>>()?;
        if list.is_empty() {
            return Ok(TypedExpr::new(lit(false), DataType::Boolean, nullable, shown));
        }
        if needs_spark_order(&value.data_type) && boathouse_functions::registry().contains("==") {
            // NaN equals NaN, and nested values compare as Spark's do: a disjunction of equalities.
            let mut any: Option<DfExpr> = None;
            for item in list {
                let equal = self.builtin("==", vec![value.clone(), item])?.expr;
                any = Some(match any {
                    None => equal,
                    Some(left) => binary(left, Operator::Or, equal),
                });
            }
            return Ok(TypedExpr::new(any.unwrap_or_else(|| lit(false)), DataType::Boolean, nullable, shown));
        }
        let list = list.into_iter().map(|i| i.expr).collect();
        let expr = DfExpr::InList(InList::new(Box::new(value.expr), list, false));
        Ok(TypedExpr::new(expr, DataType::Boolean, nullable, shown))
    }
}

/// Whether arrays or structs hold whole numbers on one side and, on the other, decimals that cannot hold all of them: they are
/// not compared (Spark's `findTightestCommonType`).
fn mixes_decimals(a: &DataType, b: &DataType) -> bool {
    fn inside(a: &DataType, b: &DataType) -> bool {
        match (a, b) {
            (decimal @ DataType::Decimal { .. }, t) | (t, decimal @ DataType::Decimal { .. }) => {
                t.is_integral() && !boathouse_functions::cast::is_up_cast(t, decimal)
            }
            _ => mixes_decimals(a, b),
        }
    }
    match (a, b) {
        (DataType::Array { element: x, .. }, DataType::Array { element: y, .. }) => inside(x, y),
        (DataType::Struct(x), DataType::Struct(y)) => {
            x.fields.iter().zip(&y.fields).any(|(x, y)| inside(&x.data_type, &y.data_type))
        }
        _ => false,
    }
}

/// Whether Spark casts a whole number to the decimal type of its own digits, to compare it with a decimal: a cast that may
/// give NULL, by its rule (`DecimalPrecision`).
fn is_narrowed(number: &TypedExpr, other: &TypedExpr) -> bool {
    number.data_type.is_integral()
        && matches!(number.expr, DfExpr::Literal(..))
        && matches!(other.data_type, DataType::Decimal { .. })
}

/// Types whose order in Spark is not Arrow's: NaN and -0.0, and everything nested.
fn needs_spark_order(t: &DataType) -> bool {
    matches!(t, DataType::Float | DataType::Double | DataType::Array { .. } | DataType::Struct(_))
}

pub(super) fn binary(left: DfExpr, operator: Operator, right: DfExpr) -> DfExpr {
    DfExpr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

/// The type of values whose types differ in the names of fields alone (Spark's `DataType.equalsStructurally`): `(a, b)` is
/// compared with `(1, 2)` by places.
fn type_by_places(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (DataType::Struct(x), DataType::Struct(y)) if x.fields.len() == y.fields.len() => {
            let pairs = x.fields.iter().zip(&y.fields);
            let field = |(x, y): (&StructField, &StructField)| {
                let data_type = type_by_places(&x.data_type, &y.data_type)?;
                Some(StructField { data_type, nullable: x.nullable || y.nullable, ..x.clone() })
            };
            Some(DataType::Struct(StructType::new(pairs.map(field).collect::<Option<_>>()?)))
        }
        (
            DataType::Array { element, contains_null },
            DataType::Array { element: other, contains_null: also_null },
        ) => Some(DataType::Array {
            element: Box::new(type_by_places(element, other)?),
            contains_null: *contains_null || *also_null,
        }),
        _ => (a == b).then(|| a.clone()),
    }
}
