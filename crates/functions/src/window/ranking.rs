//! `row_number`, `rank`, `dense_rank`, `percent_rank`, `cume_dist`, `ntile`.

use std::sync::Arc;

use boathouse_spec::{DataType, Result};
use datafusion::functions_window::cume_dist::cume_dist_udwf;
use datafusion::functions_window::ntile::ntile_udwf;
use datafusion::functions_window::rank::{dense_rank_udwf, percent_rank_udwf, rank_udwf};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::WindowUDF;

use super::wrapped::Wrapped;
use super::{ResolvedWindow, WindowCall};
use crate::mismatch::{not_constant, out_of_range, unexpected_null, whole_number};
use crate::{Registry, ShownArg};

const ROWS: &str = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW";
const RANGE: &str = "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW";

pub(super) fn register(r: &mut Registry) {
    r.window(&["row_number"], |c| {
        c.call.arity(0..=0)?;
        Ok(simple("row_number", row_number_udwf(), DataType::Integer).in_frame(ROWS))
    });
    r.window(&["rank"], |c| Ok(rank(c, "rank", rank_udwf(), DataType::Integer).shown_as("RANK")));
    r.window(&["dense_rank"], |c| {
        Ok(rank(c, "dense_rank", dense_rank_udwf(), DataType::Integer).shown_as("DENSE_RANK"))
    });
    r.window(&["percent_rank"], |c| {
        Ok(rank(c, "percent_rank", percent_rank_udwf(), DataType::Double).shown_as("PERCENT_RANK"))
    });
    r.window(&["cume_dist"], |c| {
        c.call.arity(0..=0)?;
        Ok(simple("cume_dist", cume_dist_udwf(), DataType::Double).in_frame(RANGE))
    });
    r.window(&["ntile"], ntile);
}

fn simple(name: &'static str, inner: Arc<WindowUDF>, t: DataType) -> ResolvedWindow {
    let udf = Wrapped::new(name, inner, &t, false).build();
    ResolvedWindow::new(vec![], t, false, udf)
}

/// Ranks by the window's order; Spark lets arguments be written and forgets them.
fn rank(c: &WindowCall, name: &'static str, inner: Arc<WindowUDF>, t: DataType) -> ResolvedWindow {
    let udf = Wrapped::new(name, inner, &t, false);
    let udf = if c.call.args.is_empty() { udf } else { udf.with_any_arguments() };
    ResolvedWindow::new(c.call.types(), t, false, udf.build()).shown_with(vec![]).in_frame(ROWS)
}

fn ntile(c: &WindowCall) -> Result<ResolvedWindow> {
    let call = &c.call;
    call.arity(0..=1)?;
    let buckets = match call.args.first() {
        None => 1,
        Some(arg) => {
            if arg.constant.is_none() {
                return Err(not_constant(call, 0, "buckets", "INT"));
            }
            if arg.data_type != DataType::Integer {
                return Err(call.unexpected_input(0, "\"INT\""));
            }
            whole_number(arg).flatten().ok_or_else(|| unexpected_null(call, "buckets"))?
        }
    };
    if buckets <= 0 {
        return Err(out_of_range(call, "buckets", "(0, 2147483647]", &buckets.to_string()));
    }
    let udf = Wrapped::new("ntile", ntile_udwf(), &DataType::Integer, false).with_number(buckets).build();
    let shown = if call.args.is_empty() { ShownArg::Text("1".into()) } else { ShownArg::Arg(0) };
    Ok(ResolvedWindow::new(call.types(), DataType::Integer, false, udf)
        .shown_with(vec![shown])
        .in_frame(ROWS))
}
