//! The contract of scalar functions: [`Call`] in, [`Resolved`] out.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::ArrayRef;
use boathouse_spec::{DataType, Error, Result};
use datafusion::logical_expr::Volatility;
use datafusion::scalar::ScalarValue;

pub use crate::coercion::Want;
use crate::{Context, Inputs, cast, coercion};

/// An argument as the analyzer sees it.
#[derive(Debug, Clone)]
pub struct Arg {
    pub data_type: DataType,
    pub nullable: bool,
    /// The value, where the argument is a constant.
    pub constant: Option<ScalarValue>,
    /// The argument's SQL text, for messages.
    pub sql: String,
    /// How many values, of a call of `array(..)`.
    pub elements: Option<usize>,
}

/// A call to resolve.
pub struct Call<'a> {
    /// The name as registered (lower case).
    pub name: &'a str,
    pub args: &'a [Arg],
    pub context: &'a Context,
}

/// The code of a function: arguments already cast to [`Resolved::coerced`]; the result has [`Resolved::return_type`]'s
/// Arrow type (field names and nullability of nested fields are put right by the caller).
pub type Eval = Arc<dyn Fn(&Inputs) -> Result<ArrayRef> + Send + Sync>;

/// A resolved call.
#[derive(Clone)]
pub struct Resolved {
    /// What each argument is cast to.
    pub coerced: Vec<DataType>,
    pub return_type: DataType,
    pub nullable: bool,
    /// Spark says that there is no NULL, and gives one all the same.
    pub said_not_null: bool,
    pub volatility: Volatility,
    /// The value depends on when the query began.
    pub tells_time: bool,
    /// Whether the result is known by the types of the arguments.
    pub of_types: bool,
    /// The name in generated column names, where it is not the name called (`substr` shows as `substring`).
    pub display_name: Option<String>,
    /// The arguments in generated column names, where they are not shown as written (defaults filled in, flags left out).
    pub display_args: Option<Vec<ShownArg>>,
    /// The name is shown alone, without arguments (`entries` of a map out of JSON).
    pub display_bare: bool,
    /// What the code was made with beside the arguments, so that calls with something else are other functions.
    pub parameters: String,
    /// The call that Spark replaces this one by.
    pub replaced_by: Option<Replacement>,
    pub eval: Eval,
}

/// What a call is replaced by in Spark: with others that are replaced so it is the same expression.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub function: &'static str,
    pub args: Vec<ReplacedArg>,
}

#[derive(Debug, Clone)]
pub enum ReplacedArg {
    /// The argument of that index (from 0).
    Arg(usize),
    Integer(i32),
}

/// An argument as a generated column name shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum ShownArg {
    /// The argument of that index (from 0), as the analyzer shows it.
    Arg(usize),
    /// This text: a default the user did not write.
    Text(String),
    /// Several without a comma between: `YEAR FROM d`.
    Joined(Vec<ShownArg>),
}

impl ShownArg {
    /// As text, given the names of the arguments.
    pub fn show(&self, args: &[String]) -> String {
        match self {
            Self::Arg(i) => args.get(*i).cloned().unwrap_or_default(),
            Self::Text(text) => text.clone(),
            Self::Joined(parts) => parts.iter().map(|p| p.show(args)).collect(),
        }
    }
}

impl<'a> Call<'a> {
    pub fn types(&self) -> Vec<DataType> {
        self.args.iter().map(|a| a.data_type.clone()).collect()
    }

    pub fn any_nullable(&self) -> bool {
        self.args.iter().any(|a| a.nullable)
    }

    /// Whether an argument can be NULL once it is cast to `coerced`.
    pub fn nullable_as(&self, coerced: &[DataType]) -> bool {
        let mode = if self.context.ansi { cast::Mode::Ansi } else { cast::Mode::Legacy };
        self.args
            .iter()
            .zip(coerced)
            .any(|(a, to)| a.nullable || (a.data_type != *to && cast::may_give_null(&a.data_type, to, mode)))
    }

    /// The types of arguments that are cast to no other type (Spark's `ExpectsInputTypes`): a NULL becomes the wanted
    /// type, anything else must be of it.
    pub fn exactly(&self, wanted: &[Want]) -> Result<Vec<DataType>> {
        self.args
            .iter()
            .enumerate()
            .map(|(i, arg)| {
                let want = wanted.get(i).or(wanted.last()).unwrap_or(&Want::Any);
                if want.accepts(&arg.data_type) {
                    Ok(arg.data_type.clone())
                } else if arg.data_type == DataType::Null {
                    coercion::implicit_cast(&DataType::Null, want, self.context)
                        .ok_or_else(|| self.unexpected_input(i, &want.sql()))
                } else {
                    Err(self.unexpected_input(i, &want.sql()))
                }
            })
            .collect()
    }

    /// Checks the number of arguments against a list of counts.
    pub fn arity_of(&self, counts: &[usize]) -> Result<()> {
        if counts.contains(&self.args.len()) {
            return Ok(());
        }
        let all = counts.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        Err(self.wrong_arity(&if counts.len() == 1 { all } else { format!("[{all}]") }))
    }

    /// Checks the number of arguments.
    pub fn arity(&self, wanted: RangeInclusive<usize>) -> Result<()> {
        if wanted.contains(&self.args.len()) {
            return Ok(());
        }
        let expected = if wanted.start() == wanted.end() {
            wanted.start().to_string()
        } else if *wanted.end() == usize::MAX {
            format!("> {}", wanted.start().saturating_sub(1))
        } else {
            format!("[{}]", wanted.clone().map(|n| n.to_string()).collect::<Vec<_>>().join(", "))
        };
        Err(self.wrong_arity(&expected))
    }

    fn wrong_arity(&self, expected: &str) -> Error {
        Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", format!("`{}`", self.name))
            .param("expectedNum", expected)
            .param("actualNum", self.args.len())
            .message(format!(
                "The function `{}` takes {expected} arguments, not {}.",
                self.name,
                self.args.len()
            ))
    }

    /// Spark's implicit casts: what each argument is cast to, one wanted type an argument (the last repeats).
    pub fn want(&self, wanted: &[Want]) -> Result<Vec<DataType>> {
        self.args
            .iter()
            .enumerate()
            .map(|(i, arg)| {
                let want = wanted.get(i).or(wanted.last()).unwrap_or(&Want::Any);
                coercion::implicit_cast(&arg.data_type, want, self.context)
                    .ok_or_else(|| self.unexpected_input(i, &want.sql()))
            })
            .collect()
    }

    /// DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE for argument `i` (from 0).
    pub fn unexpected_input(&self, i: usize, required: &str) -> Error {
        self.unexpected_input_in(&self.sql(), i, i, required)
    }

    /// The same for a call that Spark shows as `sql`, where the argument stands at `position`.
    pub fn unexpected_input_in(&self, sql: &str, position: usize, i: usize, required: &str) -> Error {
        let (input, given) = self.args.get(i).map(|a| (a.sql.clone(), a.data_type.sql())).unwrap_or_default();
        let at = ordinal(position);
        Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
            .param("sqlExpr", format!("\"{sql}\""))
            .param("paramIndex", &at)
            .param("inputSql", format!("\"{input}\""))
            .param("inputType", format!("\"{given}\""))
            .param("requiredType", required)
            .message(format!(
                "Cannot resolve \"{sql}\": the {at} argument must be {required}, but \"{input}\" is \"{given}\"."
            ))
    }

    /// DATATYPE_MISMATCH.DATA_DIFF_TYPES: the arguments have no common type.
    pub fn different_types(&self) -> Error {
        let types =
            self.args.iter().map(|a| format!("\"{}\"", a.data_type.sql())).collect::<Vec<_>>().join(" or ");
        Error::new("DATATYPE_MISMATCH.DATA_DIFF_TYPES")
            .param("sqlExpr", format!("\"{}\"", self.sql()))
            .param("functionName", format!("`{}`", self.name))
            .param("dataType", format!("({types})"))
            .message(format!(
                "Cannot resolve \"{}\": the arguments must have one type, but they are ({types}).",
                self.sql()
            ))
    }

    /// The common type of the arguments `from..`, as for COALESCE.
    pub fn common_type(&self, from: usize) -> Result<DataType> {
        let types: Vec<_> = self.args.iter().skip(from).map(|a| a.data_type.clone()).collect();
        coercion::common_type(&types, self.context).ok_or_else(|| self.different_types())
    }

    /// The call as SQL text, for messages.
    pub fn sql(&self) -> String {
        let operator = matches!(self.name, "div" | "like" | "ilike" | "rlike")
            || !self.name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if let (true, [left, right]) = (operator, self.args) {
            return match self.name {
                "like" | "ilike" => format!("{} {} {}", left.sql, self.name.to_uppercase(), right.sql),
                "rlike" => format!("RLIKE({}, {})", left.sql, right.sql),
                name => format!("({} {name} {})", left.sql, right.sql),
            };
        }
        format!("{}({})", self.name, self.args.iter().map(|a| a.sql.as_str()).collect::<Vec<_>>().join(", "))
    }
}

impl Resolved {
    /// A deterministic function; `nullable` as Spark's expression says.
    pub fn new(
        coerced: Vec<DataType>,
        return_type: DataType,
        nullable: bool,
        eval: impl Fn(&Inputs) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Self {
            coerced,
            return_type,
            nullable,
            said_not_null: false,
            volatility: Volatility::Immutable,
            tells_time: false,
            of_types: false,
            display_name: None,
            display_args: None,
            display_bare: false,
            parameters: String::new(),
            replaced_by: None,
            eval: Arc::new(eval),
        }
    }

    /// Shown as what is never NULL, where Spark says so wrongly.
    pub fn said_not_null(mut self) -> Self {
        self.said_not_null = true;
        self
    }

    /// Evaluated for every row anew: `rand()`, `uuid()`.
    pub fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    /// Known by the types of the arguments, whose values are not computed: `typeof(x)`.
    pub fn of_types(mut self) -> Self {
        self.of_types = true;
        self
    }

    /// Of the time when the query began: `now()`.
    pub fn telling_time(mut self) -> Self {
        self.tells_time = true;
        self
    }

    pub fn shown_as(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Names what the code was made with beside the arguments (options, a window's length).
    pub fn with_parameters(mut self, parameters: impl std::fmt::Debug) -> Self {
        self.parameters = format!("{parameters:?}");
        self
    }

    /// The same expression as a call of that function.
    pub fn replaced_by(mut self, function: &'static str, args: Vec<ReplacedArg>) -> Self {
        self.replaced_by = Some(Replacement { function, args });
        self
    }

    /// Shown as this name alone.
    pub fn shown_bare(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self.display_bare = true;
        self
    }

    /// The generated column name of a call by `called`, given the names of its arguments.
    pub fn column_name(&self, called: &str, args: &[String]) -> String {
        let is_operator =
            called == "div" || !called.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if let (None, None, true, [left, right]) = (&self.display_name, &self.display_args, is_operator, args)
        {
            return format!("({left} {called} {right})");
        }
        let name = self.display_name.as_deref().unwrap_or(called);
        // A name with parentheses is the whole text.
        if self.display_bare || name.contains(['(', ' ']) {
            return name.to_string();
        }
        let args = match &self.display_args {
            Some(shown) => shown.iter().map(|a| a.show(args)).collect::<Vec<_>>().join(", "),
            None => args.join(", "),
        };
        format!("{name}({args})")
    }

    pub fn shown_with(mut self, args: Vec<ShownArg>) -> Self {
        self.display_args = Some(args);
        self
    }
}

/// `first`, `second`, ... as Spark counts parameters in messages.
pub fn ordinal(i: usize) -> String {
    match i {
        0 => "first".into(),
        1 => "second".into(),
        2 => "third".into(),
        3 => "fourth".into(),
        4 => "fifth".into(),
        n => format!("{}th", n + 1),
    }
}
