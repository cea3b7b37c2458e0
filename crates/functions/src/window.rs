//! The contract of window functions (`row_number`, `lag`, `ntile`, ...). Aggregates over windows are aggregates.

use std::sync::Arc;

use boathouse_spec::DataType;
use datafusion::logical_expr::WindowUDF;

use crate::Call;

pub struct WindowCall<'a> {
    pub call: Call<'a>,
    pub ignore_nulls: Option<bool>,
}

#[derive(Clone)]
pub struct ResolvedWindow {
    pub coerced: Vec<DataType>,
    /// What DataFusion's function gives is cast to this (ranks are `u64` there, INT here).
    pub return_type: DataType,
    pub nullable: bool,
    pub udf: Arc<WindowUDF>,
    /// The frame is fixed (ranking functions) and must not be given by the user.
    pub fixed_frame: bool,
}
