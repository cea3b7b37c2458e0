//! The contract of window functions (`row_number`, `lag`, `ntile`, ...), and the functions. Aggregates over windows are
//! aggregates; `first_value`, `last_value` and their kin are both, and faster as window functions.

mod offset;
mod ranking;
mod shifted;
mod wrapped;

use std::sync::Arc;

use boathouse_spec::DataType;
use datafusion::logical_expr::WindowUDF;

pub use self::shifted::ShiftedRows;
use crate::{Call, Registry, ShownArg};

pub(crate) fn register(r: &mut Registry) {
    offset::register(r);
    ranking::register(r);
}

pub struct WindowCall<'a> {
    pub call: Call<'a>,
    pub ignore_nulls: Option<bool>,
}

#[derive(Clone)]
pub struct ResolvedWindow {
    pub coerced: Vec<DataType>,
    /// What the function gives, exactly.
    pub return_type: DataType,
    pub nullable: bool,
    /// Knows of its own whether to ignore NULLs: the plan need not.
    pub udf: Arc<WindowUDF>,
    /// The frame is fixed (ranking functions) and must not be given by the user.
    pub fixed_frame: bool,
    /// The fixed frame as generated column names show it: `ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`.
    pub shown_frame: Option<String>,
    /// The name in generated column names where it differs from the name called.
    pub display_name: Option<String>,
    /// The arguments in generated column names, where they are not shown as written.
    pub display_args: Option<Vec<ShownArg>>,
    /// What follows the call in generated column names (` ignore nulls`).
    pub display_suffix: &'static str,
}

impl ResolvedWindow {
    pub fn new(coerced: Vec<DataType>, return_type: DataType, nullable: bool, udf: Arc<WindowUDF>) -> Self {
        Self {
            coerced,
            return_type,
            nullable,
            udf,
            fixed_frame: false,
            shown_frame: None,
            display_name: None,
            display_args: None,
            display_suffix: "",
        }
    }

    pub fn shown_as(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    pub fn shown_with(mut self, args: Vec<ShownArg>) -> Self {
        self.display_args = Some(args);
        self
    }

    /// A function with a frame of its own.
    pub fn in_frame(mut self, frame: impl Into<String>) -> Self {
        self.fixed_frame = true;
        self.shown_frame = Some(frame.into());
        self
    }
}
