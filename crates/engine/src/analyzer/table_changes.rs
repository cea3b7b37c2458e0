//! `table_changes('t', start [, end])` and `table_changes_by_path('/path', start [, end])`: a table's change feed.

use boathouse_spec::{DataType, Error, Expr, Options, Result, TableRef};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::Analyzed;

impl Analyzer {
    pub(super) fn table_changes(&mut self, function: &str, args: &[Expr]) -> Result<Analyzed> {
        if !matches!(args.len(), 2 | 3) {
            return Err(Error::new("INCORRECT_NUMBER_OF_ARGUMENTS")
                .param("failure", if args.len() < 2 { "not enough args" } else { "too many args" })
                .param("functionName", function)
                .param("minArgs", 2)
                .param("maxArgs", 3)
                .message(format!(
                    "{function} takes a table, where its changes begin, and maybe where they end."
                ))
                .exception("AnalysisException"));
        }
        let text = match self.folded(&args[0])? {
            ScalarValue::Utf8(Some(text)) => text,
            _ => return Err(no_text(function)),
        };
        let name = match function {
            "table_changes" => boathouse_sql::parse_name(&text)?,
            _ => vec!["delta".to_string(), text],
        };
        let mut options: Options = vec![("readChangeFeed".to_string(), "true".to_string())];
        for (side, arg) in ["starting", "ending"].into_iter().zip(&args[1..]) {
            options.extend(self.change_point(function, side, arg)?);
        }
        self.table(&TableRef { name, options, ..TableRef::default() })
    }

    fn folded(&mut self, expr: &Expr) -> Result<ScalarValue> {
        let typed = self.expr(expr, &Analyzed::one_row()?)?;
        self.fold(&typed)
    }

    /// A number is a version, a text is a time.
    fn change_point(&mut self, function: &str, side: &str, arg: &Expr) -> Result<Option<(String, String)>> {
        let typed = self.expr(arg, &Analyzed::one_row()?)?;
        let key = match &typed.data_type {
            DataType::Byte | DataType::Short | DataType::Integer | DataType::Long => "Version",
            DataType::String { .. } | DataType::Timestamp | DataType::Date => "Timestamp",
            DataType::Null => {
                return Err(Error::new("DELTA_CDC_READ_NULL_RANGE_BOUNDARY")
                    .message(format!("{function}: where the changes begin or end cannot be NULL."))
                    .exception("AnalysisException"));
            }
            other => {
                return Err(Error::new("DELTA_UNSUPPORTED_EXPRESSION")
                    .param("expType", other.sql())
                    .param("causedBy", function)
                    .param("supportedTypes", "IntegerType, LongType, StringType, TimestampType, DateType")
                    .message(format!("{function} takes a version or a time, not {}.", other.sql()))
                    .exception("AnalysisException"));
            }
        };
        let as_text = self.cast(typed, &DataType::STRING, boathouse_functions::cast::Mode::Ansi)?;
        match self.fold(&as_text)? {
            ScalarValue::Utf8(Some(text)) => Ok(Some((format!("{side}{key}"), text))),
            _ => Err(no_text(function)),
        }
    }
}

fn no_text(function: &str) -> Error {
    Error::new("DELTA_CDC_NON_CONSTANT_ARGUMENT")
        .param("functionName", function)
        .message(format!("The arguments of {function} must be constants."))
        .exception("AnalysisException")
}
