//! What a table function gives for its arguments: the class's own `analyze`.

use boathouse_python::{Plain, Question, pickle};
use boathouse_spec::{DataType, Error, Expr, PythonFunction, Result, SortOrder, StructType};
use datafusion::scalar::ScalarValue;

use super::Setup;

/// An argument as `analyze` sees it.
pub(crate) struct Argument {
    pub name: Option<String>,
    pub data_type: DataType,
    pub constant: Option<ScalarValue>,
    pub is_table: bool,
}

/// What `analyze` said.
pub(crate) struct Analysis {
    pub returns: StructType,
    /// Pickled, for the instances of the class.
    pub result: Vec<u8>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortOrder>,
    /// The columns of the table that the class wants; none for all.
    pub select: Vec<Expr>,
}

/// Asks the class.
pub(crate) async fn analyze(
    setup: &Setup,
    name: &str,
    function: &PythonFunction,
    arguments: &[Argument],
) -> Result<Analysis> {
    let mut question = Question::new("analyze_udtf", &function.python_version, &setup.files, &setup.includes);
    question.text(name);
    question.bytes(&function.command);
    question.count(arguments.len());
    for argument in arguments {
        question.text(&argument.data_type.json_value().to_string());
        let constant = argument.constant.as_ref().and_then(plain);
        question.flag(constant.is_some());
        if let Some(constant) = constant {
            question.bytes(&pickle(&constant));
        }
        question.flag(argument.is_table);
        question.flag(argument.name.is_some());
        if let Some(name) = &argument.name {
            question.text(name);
        }
    }
    let mut answer = setup.workers.ask(&setup.options, question).await.map_err(|e| failed(name, &e))?;
    let DataType::Struct(returns) = DataType::from_json(&answer.text()?)? else {
        return Err(Error::internal("a table function gives columns"));
    };
    let result = answer.bytes()?;
    let _with_single_partition = answer.int()?;
    let mut partition_by = Vec::new();
    for _ in 0..answer.int()? {
        partition_by.push(Expr::Text(answer.text()?));
    }
    let mut order_by = Vec::new();
    for _ in 0..answer.int()? {
        let expr = Expr::Text(answer.text()?);
        let ascending = answer.int()? == 1;
        let nulls_first = match answer.int()? {
            0 => ascending,
            first => first == 1,
        };
        order_by.push(SortOrder { expr, ascending, nulls_first });
    }
    let mut select = Vec::new();
    for _ in 0..answer.int()? {
        let expr = Expr::Text(answer.text()?);
        let alias = answer.text()?;
        select.push(if alias.is_empty() { expr } else { expr.alias(alias) });
    }
    Ok(Analysis { returns, result, partition_by, order_by, select })
}

/// A constant that Python can be told; others are only known by their type.
fn plain(value: &ScalarValue) -> Option<Plain> {
    Some(match value {
        v if v.is_null() => Plain::None,
        ScalarValue::Boolean(Some(b)) => Plain::Boolean(*b),
        ScalarValue::Int8(Some(n)) => Plain::Integer(i64::from(*n)),
        ScalarValue::Int16(Some(n)) => Plain::Integer(i64::from(*n)),
        ScalarValue::Int32(Some(n)) | ScalarValue::Date32(Some(n)) => Plain::Integer(i64::from(*n)),
        ScalarValue::Int64(Some(n)) | ScalarValue::TimestampMicrosecond(Some(n), _) => Plain::Integer(*n),
        ScalarValue::Float32(Some(d)) => Plain::Double(f64::from(*d)),
        ScalarValue::Float64(Some(d)) => Plain::Double(*d),
        ScalarValue::Utf8(Some(text)) => Plain::Text(text.clone()),
        ScalarValue::Binary(Some(bytes)) => Plain::Bytes(bytes.clone()),
        _ => return None,
    })
}

fn failed(name: &str, error: &Error) -> Error {
    Error::new("TABLE_VALUED_FUNCTION_FAILED_TO_ANALYZE_IN_PYTHON")
        .param("msg", error.text())
        .message(format!("Failed to analyze the Python table function `{name}`: {}", error.text()))
        .exception("AnalysisException")
}
