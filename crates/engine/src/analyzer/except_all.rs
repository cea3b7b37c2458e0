//! EXCEPT ALL of a stream and a table. Rows of the stream count 1 and rows of the table -1, and each row is there as often as the
//! sum over its equals says (Spark's `RewriteExceptAll`). So the table takes its rows away anew with each batch.

use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result};
use datafusion::common::{NullHandling, UnnestOptions};
use datafusion::logical_expr::{LogicalPlanBuilder, lit};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::project::named;
use crate::watermark::{StreamOperationKind, noted};

impl Analyzer {
    pub(super) fn stream_except_all(
        &mut self,
        stream: &Analyzed,
        table: &Analyzed,
        types: &[DataType],
    ) -> Result<Analyzed> {
        let sides = vec![self.counted(stream, types, 1)?, self.counted(table, types, -1)?];
        let mut both = self.union_all(sides)?;
        both.is_streaming = true;
        let rows = self.repeated_rows(both)?;
        let plan = noted(rows.plan.clone(), StreamOperationKind::ExceptAll, true);
        Ok(Analyzed { plan, is_streaming: true, ..rows.with_plan_ids_of([stream, table]) })
    }

    /// The rows of a side, and what each counts.
    fn counted(&mut self, side: &Analyzed, types: &[DataType], count: i64) -> Result<Analyzed> {
        let columns = types.iter().zip(&side.output);
        let mut columns: Vec<Attribute> =
            columns.map(|(t, from)| self.attribute(&from.name, t.clone(), from.nullable)).collect();
        let plan = self.cast_columns(side, &columns)?;
        for (column, from) in columns.iter_mut().zip(&side.output) {
            column.metadata.clone_from(&from.metadata);
        }
        let counted = self.attribute("count", DataType::Long, false);
        let mut list: Vec<_> = columns.iter().map(Attribute::column).collect();
        list.push(named(lit(count), &counted));
        columns.push(counted);
        Ok(Analyzed { is_streaming: side.is_streaming, ..Analyzed::new(project(list, plan)?, columns) })
    }

    /// Each row as often as the last column, which goes, sums up to for it.
    fn repeated_rows(&mut self, counted: Analyzed) -> Result<Analyzed> {
        let (summed, sum) = self.rows_with_sums(counted)?;
        let one = TypedExpr::new(lit(1_i64), DataType::Long, false, "1");
        let numbers = self.builtin("sequence", vec![one, sum.typed()])?;
        let list = self.attribute("numbers", numbers.data_type.clone(), true);
        let rows: Vec<Attribute> = summed.output.iter().filter(|a| a.id != sum.id).cloned().collect();
        let mut exprs: Vec<_> = rows.iter().map(Attribute::column).collect();
        exprs.push(named(numbers.expr, &list));
        let plan = project(exprs, summed.plan.clone())?;
        let options = UnnestOptions { null_handling: NullHandling::Drop, recursions: vec![] };
        let plan = LogicalPlanBuilder::from(plan)
            .unnest_columns_with_options(vec![list.df_column()], options)
            .spark()?
            .build()
            .spark()?;
        let plan = project(rows.iter().map(Attribute::column).collect(), plan)?;
        Ok(Analyzed { plan, output: rows, below: None, ..summed })
    }
}
