//! `boathouse demo`: the guide's sales, then a million generated ones, then a few thousand more, through bronze, silver and
//! gold; with everything shown that a user would look at.

mod generate;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, DemoArguments, Format};
use crate::exit::{Failure, Result};
use crate::render::Limits;
use crate::run::{wait, with_server};
use crate::sql::run_statement;
use crate::target::{Remote, Target};
use crate::{home, python};

const PIPELINE: &str = include_str!("sales.py");
/// Says that a directory was made by this command, which may remove it.
const MARK: &str = ".made-by-boathouse-demo";

pub fn run(arguments: &Arguments, demo: &DemoArguments) -> Result<()> {
    let place = home::open(arguments)?.join("demo");
    clear(&place)?;
    let mut inside = arguments.clone();
    inside.home = Some(place.clone());
    with_server(&inside, None, |remote| Demo { arguments: &inside, place: &place, remote }.run(demo))
}

/// Makes the directory empty, if it is ours.
fn clear(place: &Path) -> Result<()> {
    if place.exists() {
        if !place.join(MARK).exists() {
            return Err(Failure::Usage(format!(
                "{} is not from an earlier demo: move it away",
                place.display()
            )));
        }
        fs::remove_dir_all(place).map_err(|e| io("removing", place, e))?;
    }
    fs::create_dir_all(place).map_err(|e| io("making", place, e))?;
    fs::write(place.join(MARK), "").map_err(|e| io("writing to", place, e))
}

fn io(doing: &str, path: &Path, e: std::io::Error) -> Failure {
    Failure::Failed(format!("Failed while {doing} {}: {e}", path.display()))
}

struct Demo<'a> {
    arguments: &'a Arguments,
    place: &'a Path,
    remote: &'a str,
}

impl Demo<'_> {
    fn run(&self, demo: &DemoArguments) -> Result<()> {
        let target = Remote::open(self.remote)?;
        let file = self.place.join("pipeline/sales.py");
        self.write(&file, PIPELINE)?;

        title("1. Three sales, one of them dirty");
        self.write(&self.raw().join("sample.json"), generate::SAMPLE)?;
        print!("{}", generate::SAMPLE);
        let first = self.update(&file)?;
        show(&target, "SELECT * FROM silver_sales ORDER BY sale_id")?;
        show(&target, "SELECT * FROM gold_daily_sales")?;
        println!("\nThe row that was dropped:");
        show(
            &target,
            "SELECT sale_id, customer_id, amount, _failed_expectations FROM dropped_records('silver_sales')",
        )?;

        title(&format!("2. {}", count(demo.rows, "more sale")));
        self.generate(0, demo.rows)?;
        let second = self.update(&file)?;
        show(&target, "SELECT * FROM gold_daily_sales ORDER BY revenue DESC LIMIT 5")?;
        show(&target, "SELECT * FROM gold_customers ORDER BY revenue DESC LIMIT 5")?;

        title(&format!("3. {}: only these are read", count(demo.new_rows, "new sale")));
        self.generate(demo.rows, demo.new_rows)?;
        let third = self.update(&file)?;
        self.compare(&target, &[("3 sales", first), ("many sales", second), ("new sales", third)])?;
        self.say_where();
        Ok(())
    }

    fn raw(&self) -> PathBuf {
        self.place.join("raw/sales")
    }

    fn write(&self, file: &Path, text: &str) -> Result<()> {
        let directory = file.parent().unwrap_or(self.place);
        fs::create_dir_all(directory).map_err(|e| io("making", directory, e))?;
        fs::write(file, text).map_err(|e| io("writing", file, e))
    }

    fn generate(&self, first: u64, rows: u64) -> Result<()> {
        let started = Instant::now();
        let written =
            generate::write_sales(&self.raw(), first, rows).map_err(|e| io("writing to", &self.raw(), e))?;
        println!(
            "Wrote {} of JSON ({:.1} MB) to {} in {:.1} s",
            count(written.files as u64, "file"),
            written.bytes as f64 / 1e6,
            self.raw().display(),
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Runs the pipeline; its progress and report are printed by it.
    fn update(&self, file: &Path) -> Result<Duration> {
        println!("\n$ boathouse pipeline run {}", file.display());
        let started = Instant::now();
        let mut python = python::command(self.remote, self.arguments)?;
        python.args(["-m", "boathouse_runtime.pipeline", "run"]).arg(file);
        wait(python, file)?;
        println!();
        Ok(started.elapsed())
    }

    /// What each update read and how long it took, from the event log.
    fn compare(&self, target: &dyn Target, updates: &[(&str, Duration)]) -> Result<()> {
        println!("The three updates, Python's start included:");
        for (number, (what, took)) in updates.iter().enumerate() {
            println!("  {}. {what:<11} {:.1} s", number + 1, took.as_secs_f64());
        }
        println!(
            "\nWhat they wrote, from event_log('sales'). The streaming tables, bronze and silver, take only what is new:\n"
        );
        run_statement(target, READ, Format::Table, &Limits::default())
    }

    fn say_where(&self) {
        let place = self.place.display();
        title("Where everything lies");
        println!("Raw files   {}", self.raw().display());
        println!("Pipeline    {place}/pipeline/sales.py");
        println!("Tables      {place}/warehouse (Delta: Spark, DuckDB and Polars read them)");
        println!("Everything  {place} (removed when the demo runs again)");
        println!("\nLook around:  boathouse sql --home {place}");
    }
}

/// Rows that each update wrote to each table, and how long it took: of a streaming table, these are what was new.
const READ: &str = "
WITH progress AS (
  SELECT element_at(split(origin.dataset_name, '[.]'), -1) AS dataset,
         CAST(get_json_object(details, '$.flow_progress.metrics.num_output_rows') AS BIGINT) AS rows,
         get_json_object(details, '$.flow_progress.status') AS status,
         timestamp,
         min(timestamp) OVER (PARTITION BY origin.update_id) AS started
  FROM event_log('sales') WHERE event_type = 'flow_progress'
), numbered AS (
  SELECT *, dense_rank() OVER (ORDER BY started) AS update FROM progress
)
SELECT update, dataset, sum(rows) AS rows_written,
       round((unix_micros(max(timestamp)) - unix_micros(min(timestamp))) / 1e6, 2) AS seconds
FROM numbered WHERE status <> 'QUEUED' GROUP BY update, dataset ORDER BY update, min(timestamp)";

fn title(text: &str) {
    println!("\n{text}\n{}", "=".repeat(text.chars().count()));
}

fn show(target: &dyn Target, statement: &str) -> Result<()> {
    println!("\n> {statement}");
    run_statement(target, statement, Format::Table, &Limits::default())
}

/// `1,234 sales`, `1 sale`.
fn count(n: u64, unit: &str) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    format!("{grouped} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(count(1, "sale"), "1 sale");
        assert_eq!(count(1_000_000, "sale"), "1,000,000 sales");
        assert_eq!(count(999, "file"), "999 files");
    }

    #[test]
    fn only_its_own_directory_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("demo");
        assert!(clear(&place).is_ok() && clear(&place).is_ok());
        fs::remove_file(place.join(MARK)).unwrap();
        assert!(clear(&place).is_err() && place.exists());
    }
}
