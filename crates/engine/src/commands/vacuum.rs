//! `VACUUM`.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use boathouse_delta::{InventoryFile, VacuumOptions, VacuumScope};
use boathouse_spec::{DataType, Error, Relation, Result, VacuumMode, quote};
use datafusion::physical_plan::collect;

use crate::analyzer::Analyzed;
use crate::commands::delta_maintenance::reported;
use crate::commands::table_expressions::dml_options;
use crate::commands::target;
use crate::execute::project;
use crate::{QueryResult, Session, execute};
use boathouse_bridge::ResultExt;
use boathouse_functions::cast::Mode;

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    retain_hours: Option<f64>,
    dry_run: bool,
    mode: VacuumMode,
    inventory: Option<Relation>,
) -> Result<QueryResult> {
    let (_, delta) = target::delta(session, name, "VACUUM", &target::relation_path(session)).await?;
    let inventory = match inventory {
        Some(query) => Some(listed(session, query).await?),
        None => None,
    };
    let conf = session.conf();
    let passes_over = conf.flag("spark.databricks.delta.vacuum.retentionWindowIgnore.enabled");
    let options = VacuumOptions {
        retain_hours: retain_hours.filter(|hours| *hours == 0.0 || !passes_over),
        dry_run,
        scope: match mode {
            VacuumMode::Lite => VacuumScope::Lite,
            VacuumMode::Default if conf.flag("spark.databricks.delta.vacuum.lite.enabled") => {
                VacuumScope::Lite
            }
            VacuumMode::Default | VacuumMode::Full => VacuumScope::Full,
        },
        inventory,
        skip_retention_check: !session.conf().flag("spark.databricks.delta.retentionDurationCheck.enabled"),
        is_silent: conf
            .get("spark.databricks.delta.vacuum.logging.enabled")
            .is_some_and(|v| v.eq_ignore_ascii_case("false")),
        commit: dml_options(session, Vec::new()),
    };
    let result = boathouse_delta::vacuum(&delta.snapshot, &options).await?;
    let report = boathouse_delta::vacuum_report(&result)?;
    if let Some(committed) = result.committed {
        session.committed(&delta.table, &committed);
    }
    Ok(reported(report))
}

/// The columns that an inventory has.
const INVENTORY: [(&str, DataType); 4] = [
    ("path", DataType::STRING),
    ("length", DataType::Long),
    ("isDir", DataType::Boolean),
    ("modificationTime", DataType::Long),
];

/// The files that an inventory lists; its directories say nothing.
async fn listed(session: &Arc<Session>, query: Relation) -> Result<Vec<InventoryFile>> {
    let plan = session
        .analyze(move |analyzer| {
            let analyzed = analyzer.query(&query)?;
            let mut list = Vec::with_capacity(INVENTORY.len());
            for (name, data_type) in INVENTORY {
                let found = analyzed.output.iter().find(|a| a.name.eq_ignore_ascii_case(name));
                let attribute = found
                    .filter(|a| a.data_type.same_type(&data_type))
                    .ok_or_else(|| invalid_inventory(&analyzed))?;
                let value = analyzer.cast(attribute.typed(), &data_type, Mode::Ansi)?;
                list.push(value.expr.alias(name));
            }
            project(list, analyzed.plan)
        })
        .await?;
    let plan = execute::partitioned_plan(session, &plan).await?;
    let mut out = Vec::new();
    for batch in collect(plan, execute::task_context(session)).await.spark()? {
        let (paths, sizes) =
            (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        let (is_dir, times) = (batch.column(2).as_boolean(), batch.column(3).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            if !is_dir.value(row) {
                out.push(InventoryFile {
                    path: paths.value(row).to_string(),
                    size: sizes.value(row).unsigned_abs(),
                    modified_ms: times.value(row),
                });
            }
        }
    }
    Ok(out)
}

fn invalid_inventory(analyzed: &Analyzed) -> Error {
    let wanted = INVENTORY.map(|(n, t)| format!("{} {}", quote(n), t.sql())).join(", ");
    Error::new("DELTA_INVALID_INVENTORY_SCHEMA")
        .param("expectedSchema", &wanted)
        .message(format!(
            "An inventory has the columns {wanted}; the one given has ({}).",
            analyzed.schema().names().join(", ")
        ))
        .exception("AnalysisException")
}
