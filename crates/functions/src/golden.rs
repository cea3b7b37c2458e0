//! Runs the expressions in `golden/*.tsv`, whose answers Apache Spark gave (`golden/record.py`).
//!
//! A line: the mode (`A`: ANSI, `L`: not), the expression, then name, type, nullability and value of the column, or the
//! error class with its parameters. Every call is evaluated twice, with its literals as constants and as columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, new_null_array};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, IntervalField, Result, StructField};
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;

use crate::cast::{self, Mode};
use crate::{Arg, Call, Context, Entry, Inputs, registry};

mod aggregates;
mod reader;

pub(crate) use self::reader::parse_schema;
use self::reader::{Read, Reader};

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
                    elements: None,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let call = Call { name, args: &args, context: self.context };
        let resolved = resolve(&call)?;
        assert_eq!(resolved.coerced.len(), values.len(), "{name} casts another number of arguments");
        let mode = Mode::of(self.context);
        let mut inputs = Vec::new();
        for (value, to) in values.iter().zip(&resolved.coerced) {
            if !cast::can_cast(&value.data_type, to, mode) {
                return Err(cast::type_error(&value.data_type, to, mode, &value.name));
            }
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

fn context(mode: &str) -> Context {
    Context {
        ansi: mode == "A",
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
