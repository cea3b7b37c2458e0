//! Failures at every durable step. Whatever fails, the table is as before the statement or as after it, never between,
//! and the same statement again ends as if nothing had happened.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use boathouse_delta::{
    DeltaScan, DeltaTable, DmlOptions, OptimizeOptions, Predicate, Snapshot, TableLocation, WriteMode,
    WriteOptions, delete, optimize, write,
};
use boathouse_spec::fault::{self, Fault};
use datafusion::catalog::TableProvider;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;

const POINTS: &[&str] = &[
    "delta::before-bytes",
    "delta::after-bytes",
    "delta::after-data-file",
    "delta::before-vectors",
    "delta::after-vectors",
    "delta::before-commit",
    "disk::before-link",
    "disk::after-link",
    "delta::after-commit",
    "delta::before-checkpoint",
    "delta::after-checkpoint-file",
    "delta::after-checkpoint",
];

fn rows(values: &[i64]) -> Arc<dyn ExecutionPlan> {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([("id", column, true)]).unwrap();
    MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None).unwrap()
}

async fn ids(session: &SessionState, table: &Snapshot) -> Vec<i64> {
    let scan = DeltaScan::new(table.clone()).unwrap();
    let plan = scan.scan(session, None, &[], None).await.unwrap();
    let batches = collect(plan, session.task_ctx()).await.unwrap();
    let mut out: Vec<i64> =
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    out.sort_unstable();
    out
}

#[derive(Debug, Clone, Copy)]
enum Statement {
    Append,
    Overwrite,
    Delete,
    Optimize,
}

async fn run(statement: Statement, table: &Snapshot, session: &SessionState) -> boathouse_spec::Result<()> {
    let location = table.location();
    match statement {
        Statement::Append => {
            let options =
                WriteOptions { txn: Some(("app".into(), 7)), ..WriteOptions::new(WriteMode::Append) };
            write(location, Some(table), session, rows(&[100]), &options).await.map(|_| ())
        }
        Statement::Overwrite => {
            write(location, Some(table), session, rows(&[200]), &WriteOptions::new(WriteMode::Overwrite))
                .await
                .map(|_| ())
        }
        Statement::Delete => {
            let condition = Predicate::new(col("id").lt(lit(3i64)), "(id < 3)");
            delete(table, session, Some(&condition), &DmlOptions::default()).await.map(|_| ())
        }
        Statement::Optimize => optimize(table, session, &OptimizeOptions::default()).await.map(|_| ()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_leaves_half_a_statement() {
    let session = SessionContext::new().state();
    let before: Vec<i64> = (0..9).flat_map(|i| [i, i + 10]).collect();
    let after = |statement| -> Vec<i64> {
        let mut out: Vec<i64> = match statement {
            Statement::Append => before.iter().copied().chain([100]).collect(),
            Statement::Overwrite => vec![200],
            Statement::Delete => before.iter().copied().filter(|i| *i >= 3).collect(),
            Statement::Optimize => before.clone(),
        };
        out.sort_unstable();
        out
    };
    let mut sorted = before.clone();
    sorted.sort_unstable();

    for statement in [Statement::Append, Statement::Overwrite, Statement::Delete, Statement::Optimize] {
        for point in POINTS {
            for failure in [Fault::Fail, Fault::Panic] {
                let directory = tempfile::tempdir().unwrap();
                let location = TableLocation::local(directory.path().join("t")).unwrap();
                let mut table: Option<Snapshot> = None;
                // Nine commits, so that the statement's commit, or the one after it, is the tenth.
                for i in 0..9 {
                    let options = WriteOptions::new(WriteMode::Append);
                    let done = write(&location, table.as_ref(), &session, rows(&[i, i + 10]), &options)
                        .await
                        .unwrap();
                    table = done.map(|c| c.snapshot);
                }
                let table = table.unwrap();
                fault::arm(Some(point), 1, failure);
                let case = format!("{statement:?} at {point} with {failure:?}");
                let outcome = tokio::spawn({
                    let (table, session) = (table.clone(), session.clone());
                    async move { run(statement, &table, &session).await }
                })
                .await;
                fault::disarm();
                let succeeded = matches!(outcome, Ok(Ok(())));

                let now = DeltaTable::load(&location, None).await.unwrap();
                let rows_now = ids(&session, &now).await;
                assert!(rows_now == sorted || rows_now == after(statement), "{case}: {rows_now:?}");
                if succeeded {
                    assert_eq!(rows_now, after(statement), "{case}");
                }
                // The same again, on the table as it is now.
                run(statement, &now, &session).await.unwrap();
                let end = DeltaTable::load(&location, None).await.unwrap();
                assert_eq!(ids(&session, &end).await, after(statement), "{case}, then again");
                // To the next checkpoint, where this one may be half there.
                let more = if point.contains("checkpoint") { 12 } else { 1 };
                for i in 300..300 + more {
                    let current = DeltaTable::load(&location, None).await.unwrap();
                    let options = WriteOptions::new(WriteMode::Append);
                    write(&location, Some(&current), &session, rows(&[i]), &options).await.unwrap();
                }
                let end = DeltaTable::load(&location, None).await.unwrap();
                assert_eq!(
                    ids(&session, &end).await.len(),
                    after(statement).len() + more as usize,
                    "{case}, then on"
                );
            }
        }
    }
}
