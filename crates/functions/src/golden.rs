//! Runs the expressions in `golden/*.tsv`, whose answers Apache Spark gave (`golden/record.py`).
//!
//! A line: the mode (`A`: ANSI, `L`: not), the expression, then name, type, nullability and value of the column, or the
//! error class with its parameters. Every call is evaluated twice, with its literals as constants and as columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, new_null_array};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, IntervalField, Result, StructField};
use chrono_tz::Tz;
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;

use crate::cast::{self, Mode};
use crate::{Arg, Call, Context, Entry, Inputs, registry};

#[path = "golden_aggregates.rs"]
mod aggregates;

/// An evaluated expression.
#[derive(Clone)]
struct Value {
    array: ArrayRef,
    constant: bool,
    data_type: DataType,
    nullable: bool,
    name: String,
}

#[derive(Debug, Clone)]
enum Node {
    Literal {
        array: ArrayRef,
        data_type: DataType,
        name: String,
    },
    Column(usize),
    Call {
        name: String,
        args: Vec<Node>,
    },
    Cast {
        input: Box<Node>,
        to: DataType,
        tried: bool,
    },
    Lambda {
        parameters: Vec<String>,
        body: Box<Node>,
    },
    Parameter(String),
    Subscript {
        from: Box<Node>,
        at: Box<Node>,
    },
    Aggregate {
        name: String,
        args: Vec<Node>,
        distinct: bool,
        ignore_nulls: Option<bool>,
        order: Vec<(Node, bool)>,
    },
}

impl Node {
    fn has_literal(&self) -> bool {
        match self {
            Self::Literal { .. } => true,
            Self::Column(_) => false,
            Self::Call { args, .. } => args.iter().any(Node::has_literal),
            Self::Cast { input, .. } => input.has_literal(),
            Self::Subscript { from, at } => from.has_literal() || at.has_literal(),
            _ => false,
        }
    }

    fn is_constant(&self) -> bool {
        match self {
            Self::Literal { .. } => true,
            Self::Column(_) => false,
            Self::Call { args, .. } => args.iter().all(Node::is_constant),
            Self::Cast { input, .. } => input.is_constant(),
            Self::Subscript { from, at } => from.is_constant() && at.is_constant(),
            _ => false,
        }
    }
}

/// What an expression is evaluated in.
struct Session<'a> {
    context: &'a Context,
    /// Literals become columns of this many rows.
    rows: Option<usize>,
    columns: &'a [Value],
    /// Parameters of the lambdas around, innermost last.
    parameters: &'a [(String, Value)],
}

impl Session<'_> {
    fn eval(&self, node: &Node) -> Result<Value> {
        match node {
            Node::Literal { array, data_type, name } => {
                let constant = self.rows.is_none();
                let array = match self.rows {
                    Some(rows) => {
                        arrow::compute::take(array, &arrow::array::UInt32Array::from(vec![0; rows]), None)
                            .spark()?
                    }
                    None => Arc::clone(array),
                };
                let nullable = *data_type == DataType::Null || array.null_count() > 0;
                Ok(Value { array, constant, data_type: data_type.clone(), nullable, name: name.clone() })
            }
            Node::Column(i) => {
                let column = &self.columns[*i];
                Ok(Value {
                    array: Arc::clone(&column.array),
                    constant: false,
                    data_type: column.data_type.clone(),
                    nullable: column.nullable,
                    name: column.name.clone(),
                })
            }
            Node::Cast { input, to, tried } => {
                let value = self.eval(input)?;
                let mode = if *tried { Mode::Try } else { Mode::of(self.context) };
                let from = &value.data_type;
                let nested =
                    matches!(to, DataType::Array { .. } | DataType::Map { .. } | DataType::Struct(_));
                // Spark does not show casts to nested types.
                let name = if nested {
                    value.name.clone()
                } else {
                    format!("{}CAST({} AS {})", if *tried { "TRY_" } else { "" }, value.name, to.sql())
                };
                if !cast::can_cast(from, to, mode) {
                    return Err(cast::type_error(from, to, mode, &name));
                }
                let nullable = value.nullable || (from != to && cast::may_give_null(from, to, mode));
                let array = cast::cast(&value.array, from, to, mode, self.context)?;
                Ok(Value { array, constant: value.constant, data_type: to.clone(), nullable, name })
            }
            Node::Lambda { .. } => Err(Error::internal("a lambda is no value")),
            Node::Parameter(name) => {
                let found = self.parameters.iter().rev().find(|(n, _)| n == name);
                found.map(|(_, v)| v.clone()).ok_or_else(|| Error::internal("no such parameter"))
            }
            Node::Subscript { from, at } => {
                let values = vec![self.eval(from)?, self.eval(at)?];
                let function = if matches!(values[0].data_type, DataType::Map { .. }) {
                    "getmapvalue"
                } else {
                    "getarrayitem"
                };
                let name = format!("{}[{}]", values[0].name, values[1].name);
                let mut value = self.call(function, &[from.as_ref().clone(), at.as_ref().clone()], values)?;
                value.name = name;
                Ok(value)
            }
            Node::Aggregate { name, args, distinct, ignore_nulls, order } => {
                aggregates::aggregate(self, name, args, *distinct, *ignore_nulls, order)
            }
            Node::Call { name, args } if args.iter().any(|a| matches!(a, Node::Lambda { .. })) => {
                aggregates::higher_order(self, name, args)
            }
            Node::Call { name, args } => {
                let values = args.iter().map(|a| self.eval(a)).collect::<Result<Vec<_>>>()?;
                self.call(name, args, values)
            }
        }
    }

    fn call(&self, name: &str, nodes: &[Node], values: Vec<Value>) -> Result<Value> {
        let resolve = registry()
            .get(name)
            .iter()
            .find_map(|e| match e {
                Entry::Scalar(f) => Some(*f),
                _ => None,
            })
            .ok_or_else(|| Error::new("UNRESOLVED_ROUTINE").param("routineName", format!("`{name}`")))?;
        let args = values
            .iter()
            .zip(nodes)
            .map(|(v, node)| {
                let constant = match (v.constant || node.is_constant(), v.array.is_empty()) {
                    (true, false) => Some(ScalarValue::try_from_array(&v.array, 0).spark()?),
                    (true, true) => match (Session { rows: None, ..*self }).eval(node) {
                        Ok(v) if !v.array.is_empty() => {
                            Some(ScalarValue::try_from_array(&v.array, 0).spark()?)
                        }
                        _ => None,
                    },
                    (false, _) => None,
                };
                Ok(Arg {
                    data_type: v.data_type.clone(),
                    nullable: v.nullable,
                    constant,
                    sql: v.name.clone(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let call = Call { name, args: &args, context: self.context };
        let resolved = resolve(&call)?;
        assert_eq!(resolved.coerced.len(), values.len(), "{name} casts another number of arguments");
        let mode = Mode::of(self.context);
        let mut inputs = Vec::new();
        for (value, to) in values.iter().zip(&resolved.coerced) {
            let array = match value.data_type == *to {
                true => Arc::clone(&value.array),
                false => cast::cast(&value.array, &value.data_type, to, mode, self.context)?,
            };
            inputs.push(match value.constant {
                true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0).spark()?),
                false => ColumnarValue::Array(array),
            });
        }
        let constant = inputs.iter().all(|v| matches!(v, ColumnarValue::Scalar(_)));
        let rows = inputs
            .iter()
            .find_map(|v| match v {
                ColumnarValue::Array(a) => Some(a.len()),
                _ => None,
            })
            .unwrap_or(1);
        let array = (resolved.eval)(&Inputs::new(&inputs, rows, self.context))?;
        assert_eq!(array.len(), rows, "{name} gave another number of rows");
        let array = crate::scalar::conform(array, &arrow_type(&resolved.return_type))?;
        if !resolved.nullable {
            assert_eq!(array.null_count(), 0, "{name} gave a NULL it said it would not");
        }
        let names: Vec<String> = values.iter().map(|v| v.name.clone()).collect();
        let operator =
            resolved.display_name.is_none() && !name.starts_with(|c: char| c.is_ascii_alphabetic());
        let name = match names.as_slice() {
            [left, right] if operator => format!("({left} {name} {right})"),
            _ => resolved.column_name(name, &names),
        };
        Ok(Value { array, constant, data_type: resolved.return_type, nullable: resolved.nullable, name })
    }
}

/// Reads the small part of SQL that the files use.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    context: &'a Context,
    /// Parameters of the lambdas around.
    parameters: Vec<String>,
}

type Read<T> = std::result::Result<T, String>;

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().get(..token.len()).is_some_and(|t| t.eq_ignore_ascii_case(token));
        let word = token.ends_with(|c: char| c.is_ascii_alphanumeric());
        let ends = !self
            .rest()
            .get(token.len()..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
        if found && (!word || ends) {
            self.at += token.len();
            return true;
        }
        false
    }

    fn expect(&mut self, token: &str) -> Read<()> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected {token} at: {}", self.rest())) }
    }

    fn word(&mut self) -> Read<String> {
        self.space();
        let end =
            self.rest().find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        if end == 0 {
            return Err(format!("expected a word at: {}", self.rest()));
        }
        let word = self.rest()[..end].to_string();
        self.at += end;
        Ok(word)
    }

    fn string(&mut self) -> Read<String> {
        self.space();
        let mut out = String::new();
        let mut chars = self.rest().char_indices().peekable();
        if chars.next().map(|(_, c)| c) != Some('\'') {
            return Err(format!("expected a string at: {}", self.rest()));
        }
        while let Some((i, c)) = chars.next() {
            match c {
                '\'' => {
                    if chars.peek().is_some_and(|(_, c)| *c == '\'') {
                        chars.next();
                        out.push('\'');
                        continue;
                    }
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('u') => {
                        let mut code = 0;
                        for _ in 0..4 {
                            let digit = chars.next().and_then(|(_, c)| c.to_digit(16));
                            code = code * 16 + digit.ok_or("a bad \\u")?;
                        }
                        out.push(char::from_u32(code).ok_or("a lone surrogate")?);
                    }
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err("an open string".into())
    }

    fn literal(&self, text: &str, data_type: DataType, name: impl Fn(&str) -> String) -> Read<Node> {
        let input: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![text]));
        let array = cast::cast(&input, &DataType::STRING, &data_type, Mode::Ansi, self.context)
            .map_err(|e| e.to_string())?;
        let shown = cast::to_text(&array, &data_type, self.context).map_err(|e| e.to_string())?;
        let name = name(shown.value(0));
        Ok(Node::Literal { array, data_type, name })
    }

    fn args(&mut self) -> Read<Vec<Node>> {
        self.expect("(")?;
        let mut args = Vec::new();
        if self.eat(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.eat(")") {
                return Ok(args);
            }
            self.expect(",")?;
        }
    }

    /// Operators bind as in SQL: comparisons and LIKE, then `| ^ &`, `+ - ||`, `* / % div`, and the signs.
    fn expression(&mut self) -> Read<Node> {
        self.operators(0)
    }

    fn operators(&mut self, level: usize) -> Read<Node> {
        const LEVELS: [&[&str]; 6] = [
            &["<=>", "<=", ">=", "<>", "!=", "==", "=", "<", ">", "NOT LIKE", "LIKE", "ILIKE", "RLIKE"],
            &["|"],
            &["^"],
            &["&"],
            &["+", "-", "||"],
            &["*", "/", "%", "div"],
        ];
        let Some(tokens) = LEVELS.get(level) else { return self.signed() };
        let mut left = self.operators(level + 1)?;
        loop {
            self.space();
            if *tokens == ["|"] && self.rest().starts_with("||") {
                return Ok(left);
            }
            let Some(token) = tokens.iter().find(|t| self.eat(t)) else { return Ok(left) };
            let right = self.operators(level + 1)?;
            let name = match *token {
                "||" => "concat".to_string(),
                "=" => "==".to_string(),
                "<>" => "!=".to_string(),
                other => other.to_lowercase(),
            };
            left = Node::Call { name, args: vec![left, right] };
        }
    }

    fn signed(&mut self) -> Read<Node> {
        self.space();
        let rest = self.rest();
        let number = rest.get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        for sign in ["-", "+", "~"] {
            if rest.starts_with(sign) && (sign != "-" || !number) {
                self.at += 1;
                let name = if sign == "+" { "positive".to_string() } else { sign.to_string() };
                return Ok(Node::Call { name, args: vec![self.signed()?] });
            }
        }
        if let Some(lambda) = self.lambda()? {
            return Ok(lambda);
        }
        if rest.starts_with('(') {
            self.at += 1;
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let mut value = self.primary()?;
        while self.rest().starts_with('[') {
            self.at += 1;
            let at = self.expression()?;
            self.expect("]")?;
            value = Node::Subscript { from: Box::new(value), at: Box::new(at) };
        }
        Ok(value)
    }

    /// `x -> ..` or `(x, y) -> ..`, where one is next.
    fn lambda(&mut self) -> Read<Option<Node>> {
        let rest = self.rest();
        let Some((head, _)) = rest.split_once("->") else { return Ok(None) };
        let head = head.trim();
        let names = head.strip_prefix('(').and_then(|h| h.strip_suffix(')')).unwrap_or(head);
        let names: Vec<String> = names.split(',').map(|n| n.trim().to_string()).collect();
        if (names.len() > 1 && !head.starts_with('('))
            || names.iter().any(|n| n.is_empty() || !n.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            return Ok(None);
        }
        self.at += rest.find("->").unwrap_or(0) + 2;
        self.parameters.extend(names.iter().cloned());
        let body = Box::new(self.expression()?);
        self.parameters.truncate(self.parameters.len() - names.len());
        Ok(Some(Node::Lambda { parameters: names, body }))
    }

    /// The call of an aggregate function, after its name.
    fn aggregate(&mut self, name: String) -> Read<Node> {
        let before = self.at;
        self.expect("(")?;
        let distinct = self.eat("DISTINCT");
        let args = match distinct {
            false => {
                self.at = before;
                if self.eat("(*)") { vec![string_literal("1")] } else { self.args()? }
            }
            true => {
                let mut args = vec![self.expression()?];
                while self.eat(",") {
                    args.push(self.expression()?);
                }
                self.expect(")")?;
                args
            }
        };
        let ignore_nulls = match (self.eat("IGNORE NULLS"), self.eat("RESPECT NULLS")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let mut order = Vec::new();
        if self.eat("WITHIN GROUP (ORDER BY") {
            loop {
                let key = self.expression()?;
                order.push((key, !self.eat("DESC")));
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(Node::Aggregate { name, args, distinct, ignore_nulls, order })
    }

    fn primary(&mut self) -> Read<Node> {
        self.space();
        let rest = self.rest();
        let first = rest.chars().next().ok_or("an end")?;
        if first == '\'' {
            let text = self.string()?;
            return Ok(string_literal(&text));
        }
        if first.is_ascii_digit() || first == '-' || first == '.' {
            return self.number();
        }
        let word = self.word()?;
        let next_is_string = self.rest().trim_start().starts_with('\'');
        let upper = word.to_uppercase();
        match upper.as_str() {
            "NULL" => {
                return Ok(Node::Literal {
                    array: new_null_array(&arrow_type(&DataType::Null), 1),
                    data_type: DataType::Null,
                    name: "NULL".into(),
                });
            }
            "TRUE" | "FALSE" => {
                let text = upper.to_lowercase();
                return self.literal(&text, DataType::Boolean, |v| v.to_string());
            }
            "DATE" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::Date, |v| format!("DATE '{v}'"));
            }
            "TIMESTAMP" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::Timestamp, |v| format!("TIMESTAMP '{v}'"));
            }
            "TIMESTAMP_NTZ" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::TimestampNtz, |v| format!("TIMESTAMP_NTZ '{v}'"));
            }
            "TIME" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::Time { precision: 6 }, |v| format!("TIME '{v}'"));
            }
            "X" if next_is_string => {
                let text = self.string()?;
                let bytes = hex::decode(&text).map_err(|e| e.to_string())?;
                return Ok(Node::Literal {
                    array: Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
                    data_type: DataType::Binary,
                    name: format!("X'{}'", text.to_uppercase()),
                });
            }
            "INTERVAL" => return self.interval(),
            "CAST" | "TRY_CAST" => {
                self.expect("(")?;
                let input = Box::new(self.expression()?);
                self.expect("AS")?;
                let to = self.data_type()?;
                self.expect(")")?;
                return Ok(Node::Cast { input, to, tried: upper == "TRY_CAST" });
            }
            "EXTRACT" => {
                self.expect("(")?;
                let field = self.word()?;
                self.expect("FROM")?;
                let source = self.expression()?;
                self.expect(")")?;
                return Ok(Node::Call { name: "extract".into(), args: vec![string_literal(&field), source] });
            }
            _ => {}
        }
        if let Some(n) = upper.strip_prefix("COL").and_then(|n| n.parse::<usize>().ok()) {
            return Ok(Node::Column(n - 1));
        }
        let mut name = word.to_lowercase();
        if matches!(name.as_str(), "date" | "timestamp" | "time" | "string" | "int") {
            return Err("a cast in function form".into());
        }
        if matches!(
            name.as_str(),
            "timestampadd" | "timestampdiff" | "dateadd" | "date_add" | "datediff" | "date_diff"
        ) {
            let before = self.at;
            if self.eat("(")
                && let Ok(unit) = self.word()
                && unit.starts_with(|c: char| c.is_ascii_uppercase())
                && self.eat(",")
            {
                let mut args = vec![string_literal(&unit), self.expression()?];
                self.expect(",")?;
                args.push(self.expression()?);
                self.expect(")")?;
                name = if name.contains("add") { "timestampadd".into() } else { "timestampdiff".into() };
                return Ok(Node::Call { name, args });
            }
            self.at = before;
        }
        if self.parameters.contains(&word) && !self.rest().starts_with('(') {
            return Ok(Node::Parameter(word));
        }
        let entries = registry().get(&name);
        if entries.iter().any(|e| matches!(e, Entry::Aggregate(_)))
            && !entries.iter().any(|e| matches!(e, Entry::Scalar(_)))
            && !self.rest().contains("->")
        {
            return self.aggregate(name);
        }
        let args = self.args()?;
        Ok(Node::Call { name, args })
    }

    fn number(&mut self) -> Read<Node> {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(i, c)| {
                let sign = *i == 0 || rest[..*i].ends_with(['e', 'E']);
                !(c.is_ascii_digit()
                    || *c == '.'
                    || *c == 'e'
                    || *c == 'E'
                    || (sign && (*c == '-' || *c == '+')))
            })
            .map_or(rest.len(), |(i, _)| i);
        let text = &rest[..end];
        self.at += end;
        let plain = |v: &str| v.to_string();
        let suffix = self.rest().chars().next();
        let suffixed = match suffix {
            Some('L') => Some(DataType::Long),
            Some('S') => Some(DataType::Short),
            Some('Y') => Some(DataType::Byte),
            Some('D' | 'd') => Some(DataType::Double),
            Some('F' | 'f') => Some(DataType::Float),
            _ => None,
        };
        if let Some(data_type) = suffixed {
            self.at += 1;
            return self.literal(text, data_type, plain);
        }
        if self.rest().starts_with("BD") || self.rest().starts_with("bd") {
            self.at += 2;
        }
        if text.contains(['e', 'E']) {
            return self.literal(text, DataType::Double, plain);
        }
        if let Some((_, fraction)) = text.split_once('.') {
            let digits = text.trim_start_matches('-').trim_start_matches('0').len() - 1;
            let data_type = DataType::Decimal {
                precision: digits.max(fraction.len()) as u8,
                scale: fraction.len() as u8,
            };
            return self.literal(text, data_type, plain);
        }
        match text.parse::<i64>() {
            Ok(v) if i32::try_from(v).is_ok() => self.literal(text, DataType::Integer, plain),
            Ok(_) => self.literal(text, DataType::Long, plain),
            Err(e) => Err(e.to_string()),
        }
    }

    fn field(&mut self) -> Read<IntervalField> {
        let word = self.word()?.to_lowercase();
        IntervalField::parse(word.trim_end_matches('s')).ok_or(format!("no field {word}"))
    }

    fn interval(&mut self) -> Read<Node> {
        self.space();
        if !self.rest().starts_with('\'') {
            return Err("an interval in words".into());
        }
        let text = self.string()?;
        let start = self.field()?;
        let end = if self.eat("TO") { self.field()? } else { start };
        let data_type = crate::coercion::interval_type(start, end);
        self.literal(&text, data_type, |v| v.to_string())
    }

    fn data_type(&mut self) -> Read<DataType> {
        let word = self.word()?.to_uppercase();
        let mut numbers = Vec::new();
        if self.eat("(") {
            loop {
                numbers.push(self.word()?.parse::<u8>().map_err(|e| e.to_string())?);
                if self.eat(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        Ok(match word.as_str() {
            "INT" => DataType::Integer,
            "BIGINT" | "LONG" => DataType::Long,
            "SMALLINT" => DataType::Short,
            "TINYINT" => DataType::Byte,
            "BOOLEAN" => DataType::Boolean,
            "FLOAT" => DataType::Float,
            "DOUBLE" => DataType::Double,
            "STRING" => DataType::STRING,
            "BINARY" => DataType::Binary,
            "DATE" => DataType::Date,
            "TIMESTAMP" => DataType::Timestamp,
            "TIMESTAMP_NTZ" => DataType::TimestampNtz,
            "VARIANT" => DataType::Variant,
            "VOID" => DataType::Null,
            "CHAR" => DataType::Char(u32::from(*numbers.first().ok_or("no length")?)),
            "TIME" => DataType::Time { precision: numbers.first().copied().unwrap_or(6) },
            "DECIMAL" => DataType::Decimal {
                precision: numbers.first().copied().unwrap_or(10),
                scale: numbers.get(1).copied().unwrap_or(0),
            },
            "INTERVAL" => {
                let Ok(start) = self.field() else { return Ok(DataType::CalendarInterval) };
                let end = if self.eat("TO") { self.field()? } else { start };
                crate::coercion::interval_type(start, end)
            }
            "ARRAY" => {
                self.expect("<")?;
                let element = self.data_type()?;
                self.expect(">")?;
                DataType::array(element, true)
            }
            "MAP" => {
                self.expect("<")?;
                let key = self.data_type()?;
                self.expect(",")?;
                let value = self.data_type()?;
                self.expect(">")?;
                DataType::map(key, value, true)
            }
            "STRUCT" => {
                self.expect("<")?;
                let fields = self.fields()?;
                self.expect(">")?;
                DataType::structure(fields)
            }
            other => return Err(format!("no type {other}")),
        })
    }

    fn fields(&mut self) -> Read<Vec<StructField>> {
        let mut fields = Vec::new();
        loop {
            let name = self.word()?;
            self.eat(":");
            let data_type = self.data_type()?;
            let nullable = if self.eat("NOT") { !self.eat("NULL") } else { true };
            fields.push(StructField::new(name, data_type, nullable));
            if !self.eat(",") {
                return Ok(fields);
            }
        }
    }
}

/// The schema of a string, for functions that take one: the engine sets a parser of its own.
pub(crate) fn parse_schema(text: &str) -> Result<DataType> {
    let context = Context::default();
    let failed = |at: String| Error::new("PARSE_SYNTAX_ERROR").message(at);
    let mut reader = Reader { text, at: 0, context: &context, parameters: Vec::new() };
    if let Ok(data_type) = reader.data_type() {
        reader.space();
        if reader.rest().is_empty() {
            return Ok(data_type);
        }
    }
    let mut reader = Reader { text, at: 0, context: &context, parameters: Vec::new() };
    let fields = reader.fields().map_err(failed)?;
    reader.space();
    if reader.rest().is_empty() {
        Ok(DataType::structure(fields))
    } else {
        Err(failed(reader.rest().to_string()))
    }
}

fn string_literal(text: &str) -> Node {
    Node::Literal {
        array: Arc::new(arrow::array::StringArray::from(vec![text])),
        data_type: DataType::STRING,
        name: text.to_string(),
    }
}

fn context(mode: &str) -> Context {
    Context {
        ansi: mode == "A",
        timezone: Tz::America__Los_Angeles,
        timezone_name: "America/Los_Angeles".into(),
        now_us: 1_700_000_000_123_456,
        size_of_null: true,
        ..Context::default()
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

fn show(value: &Value, context: &Context) -> Result<Vec<String>> {
    let array = &value.array;
    let texts: ArrayRef = match &value.data_type {
        DataType::Binary => Arc::new(
            array
                .as_any()
                .downcast_ref::<BinaryArray>()
                .ok_or_else(|| Error::internal("no binary"))?
                .iter()
                .map(|b| b.map(hex::encode_upper))
                .collect::<arrow::array::StringArray>(),
        ),
        DataType::Variant => {
            let texts = cast::to_text(array, &DataType::Variant, context)?;
            let rows = texts.iter().enumerate();
            Arc::new(
                rows.map(|(i, t)| t.filter(|_| array.is_valid(i))).collect::<arrow::array::StringArray>(),
            )
        }
        t => cast::cast(array, t, &DataType::STRING, Mode::of(context), context)?,
    };
    let texts = texts
        .as_any()
        .downcast_ref::<arrow::array::StringArray>()
        .ok_or_else(|| Error::internal("no text"))?;
    Ok(texts.iter().map(|t| t.map_or("NULL".to_string(), |t| format!("={t}"))).collect())
}

/// The answer as the files write it.
fn answer(node: &Node, session: &Session) -> Vec<String> {
    let failed = |e: Error| {
        let parameters: BTreeMap<_, _> = e.parameters().iter().cloned().collect();
        format!("!{} {}", e.class(), serde_json::to_string(&parameters).unwrap())
    };
    match session.eval(node) {
        Err(e) => vec![failed(e)],
        Ok(value) => {
            let nullable = if value.nullable { "null" } else { "notnull" };
            let head = vec![value.name.clone(), value.data_type.simple_string(), nullable.to_string()];
            let tail = match show(&value, session.context) {
                Ok(rows) => rows.join(" | "),
                Err(e) => failed(e),
            };
            head.into_iter().chain([tail]).collect()
        }
    }
}

fn columns(reader: &mut Reader, context: &Context) -> Read<Vec<Value>> {
    let session = Session { context, rows: None, columns: &[], parameters: &[] };
    let mut rows: Vec<Vec<Value>> = Vec::new();
    loop {
        let row = reader.args()?;
        rows.push(row.iter().map(|n| session.eval(n)).collect::<Result<_>>().map_err(|e| e.to_string())?);
        if !reader.eat(",") {
            break;
        }
    }
    let width = rows.first().map_or(0, Vec::len);
    (0..width)
        .map(|i| {
            let cells: Vec<&Value> = rows.iter().map(|r| &r[i]).collect();
            let typed = cells.iter().find(|v| v.data_type != DataType::Null).unwrap_or(&cells[0]);
            let arrays = cells
                .iter()
                .map(|v| cast::cast(&v.array, &v.data_type, &typed.data_type, Mode::Ansi, context))
                .collect::<Result<Vec<_>>>()
                .map_err(|e| e.to_string())?;
            let refs: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
            Ok(Value {
                array: arrow::compute::concat(&refs).map_err(|e| e.to_string())?,
                constant: false,
                data_type: typed.data_type.clone(),
                nullable: cells.iter().any(|v| v.nullable),
                name: format!("col{}", i + 1),
            })
        })
        .collect()
}

/// `None` where the line is beyond the reader.
fn check(mode: &str, sql: &str, wanted: &[String]) -> std::result::Result<(), String> {
    let context = context(mode);
    let mut reader = Reader { text: sql, at: 0, context: &context, parameters: Vec::new() };
    let node = match reader.expression() {
        Ok(node) => node,
        Err(why) => return Err(format!("unread: {why}")),
    };
    let columns = match reader.eat("FROM") && reader.eat("VALUES") {
        true => columns(&mut reader, &context).map_err(|why| format!("unread: {why}"))?,
        false => Vec::new(),
    };
    reader.space();
    if !reader.rest().is_empty() {
        return Err(format!("unread: {}", reader.rest()));
    }
    let given = answer(&node, &Session { context: &context, rows: None, columns: &columns, parameters: &[] });
    if given.len() == 1
        && given[0].starts_with("!UNRESOLVED_ROUTINE")
        && !wanted.iter().any(|w| w.contains("UNRESOLVED_ROUTINE"))
    {
        return Err(format!("unread: {}", given[0]));
    }
    compare(&given, wanted)?;
    if columns.is_empty() && node.has_literal() {
        let twice =
            answer(&node, &Session { context: &context, rows: Some(2), columns: &columns, parameters: &[] });
        let expected = match wanted.last() {
            Some(value) if wanted.len() == 4 && !value.starts_with('!') && !sql.ends_with("()") => {
                let mut all = wanted.to_vec();
                all[3] = format!("{value} | {value}");
                all
            }
            _ => wanted.to_vec(),
        };
        if !sql.ends_with("()") {
            compare(&twice, &expected).map_err(|e| format!("as columns: {e}"))?;
        }
    }
    Ok(())
}

fn is_present(name: &str) -> bool {
    name.starts_with("current_")
        || name.starts_with("unix_timestamp(current_")
        || matches!(name, "now()" | "localtimestamp()")
}

fn compare(given: &[String], wanted: &[String]) -> std::result::Result<(), String> {
    let class = |text: &str| text.split(' ').next().unwrap_or_default().to_string();
    // Spark raises some errors when the query runs that we raise while resolving, and the other way round.
    if let (Some(g), Some(w)) = (given.last(), wanted.last())
        && g.starts_with('!')
        && w.starts_with('!')
    {
        if class(g) != class(w) {
            return Err(format!("\n  gives  {g}\n  wanted {w}"));
        }
        let parameters = |text: &str| -> BTreeMap<String, String> {
            text.split_once(' ').and_then(|(_, p)| serde_json::from_str(p).ok()).unwrap_or_default()
        };
        let (given, wanted) = (parameters(g), parameters(w));
        for (key, value) in &wanted {
            if key != "docroot" && given.get(key) != Some(value) {
                return Err(format!("\n  gives  {g}\n  wanted {w}"));
            }
        }
        return Ok(());
    }
    // Functions of the present differ in their values only.
    if given.len() == 4 && wanted.len() == 4 && given[..3] == wanted[..3] && is_present(&given[0]) {
        return Ok(());
    }
    if given == wanted { Ok(()) } else { Err(format!("\n  gives  {given:?}\n  wanted {wanted:?}")) }
}

#[test]
fn as_spark_answers() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let known: Vec<String> = std::fs::read_to_string(dir.join("known.txt"))
        .unwrap_or_default()
        .lines()
        .map(str::to_string)
        .collect();
    let filter = std::env::var("GOLDEN").unwrap_or_default();
    let verbose = std::env::var("GOLDEN_VERBOSE").is_ok();
    let (mut right, mut unread, mut wrong, mut fixed) = (0, 0, 0, Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "tsv")) {
        let stem = file.file_stem().unwrap().to_string_lossy().to_string();
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let fields: Vec<String> = line.split('\t').map(unescape).collect();
            // The expression is not escaped: it is one line as it stands.
            let sql = line.split('\t').nth(1).unwrap().to_string();
            if !filter.is_empty() && !sql.contains(&filter) && stem != filter {
                continue;
            }
            // Exceptions of Java's own have no error class, and faults of Spark are no model.
            if fields.last().is_some_and(|f| f.starts_with("!?") || f.starts_with("!INTERNAL_ERROR")) {
                continue;
            }
            let result = std::panic::catch_unwind(|| check(&fields[0], &sql, &fields[2..]))
                .unwrap_or_else(|_| Err("panics".into()));
            let is_known = known.contains(&format!("{}\t{sql}", fields[0]));
            match result {
                Ok(()) => {
                    right += 1;
                    if is_known {
                        fixed.push(format!("{}\t{sql}", fields[0]));
                    }
                }
                Err(why) if why.starts_with("unread") => {
                    unread += 1;
                    if verbose {
                        println!("{stem} {} {sql}: {why}", fields[0]);
                    }
                }
                Err(_) if is_known && filter.is_empty() => {}
                Err(why) => {
                    wrong += 1;
                    println!("{stem} {} {sql}: {why}", fields[0]);
                }
            }
        }
    }
    println!("{right} right, {wrong} wrong, {unread} beyond the reader, {} known", known.len());
    assert_eq!(wrong, 0);
    assert!(fixed.is_empty(), "known failures that are none any more: {fixed:#?}");
}
