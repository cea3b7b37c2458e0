//! Parses the statements of Spark's SQL golden files and compares acceptance and error classes.
//!
//! `BOATHOUSE_GOLDEN_DIR=... cargo run -p boathouse-sql --example golden [-v]`

use std::fs;
use std::path::{Path, PathBuf};

use boathouse_spec::{Command, Plan};
use boathouse_sql::{ParserOptions, parse_statement};

struct Statement {
    sql: String,
    output: String,
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "out") {
            out.push(path);
        }
    }
}

fn statements(text: &str) -> Vec<Statement> {
    let chunks = text.split("-- !query\n").skip(1);
    chunks
        .map(|chunk| {
            let (sql, rest) = chunk.split_once("\n-- !query ").unwrap_or((chunk, ""));
            let output = rest.rsplit_once("-- !query output\n").map_or("", |(_, o)| o);
            Statement { sql: sql.to_string(), output: output.to_string() }
        })
        .collect()
}

/// The error class of a recorded parse error.
fn parse_error(output: &str) -> Option<(String, String)> {
    if !output.contains("parser.ParseException") {
        return None;
    }
    let quoted = |key: &str| -> String {
        let Some(at) = output.find(&format!("\"{key}\" : \"")) else { return String::new() };
        let rest = &output[at + key.len() + 6..];
        let end = rest.find("\",\n").or_else(|| rest.find("\"\n")).unwrap_or(rest.len());
        rest[..end].trim_end_matches('"').replace("\\\"", "\"")
    };
    Some((quoted("errorClass"), quoted("error") + &quoted("hint")))
}

fn apply(plan: &Plan, options: &mut ParserOptions) {
    let Plan::Command(command) = plan else { return };
    match command.as_ref() {
        Command::Set { key, value } => set(key, value.eq_ignore_ascii_case("true"), value, options),
        Command::Reset { .. } => *options = ParserOptions { ansi: options.ansi, ..ParserOptions::default() },
        _ => {}
    }
}

fn set(key: &str, on: bool, value: &str, options: &mut ParserOptions) {
    match key {
        "spark.sql.ansi.enabled" => options.ansi = on,
        "spark.sql.ansi.enforceReservedKeywords" => options.enforce_reserved_keywords = on,
        "spark.sql.ansi.doubleQuotedIdentifiers" => options.double_quoted_identifiers = on,
        "spark.sql.parser.escapedStringLiterals" => options.escaped_string_literals = on,
        "spark.sql.parser.quotedRegexColumnNames" => options.quoted_regex_column_names = on,
        "spark.sql.legacy.setopsPrecedence.enabled" => options.legacy_set_operation_precedence = on,
        "spark.sql.legacy.exponentLiteralAsDecimal.enabled" => options.exponent_literal_as_decimal = on,
        "spark.sql.legacy.interval.enabled" => options.legacy_interval = on,
        "spark.sql.legacy.bangEqualsNot" => options.bang_equals_not = on,
        "spark.sql.timestampType" => options.timestamp_ntz = value.eq_ignore_ascii_case("timestamp_ntz"),
        _ => {}
    }
}

fn main() {
    let Ok(dir) = std::env::var("BOATHOUSE_GOLDEN_DIR") else {
        eprintln!("Set BOATHOUSE_GOLDEN_DIR to a directory of Spark's golden files.");
        std::process::exit(2);
    };
    let verbose = std::env::args().any(|a| a == "-v");
    let mut paths = Vec::new();
    files(Path::new(&dir), &mut paths);
    let (mut accepted, mut accepted_ok, mut unsupported) = (0, 0, 0);
    let (mut rejected, mut rejected_class, mut rejected_detail) = (0, 0, 0);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let name = path.strip_prefix(&dir).unwrap_or(&path).display().to_string();
        let mut options = ParserOptions {
            ansi: !name.starts_with("nonansi"),
            double_quoted_identifiers: name.contains("double-quoted-identifiers-enabled"),
            legacy_identifier_clause: name.contains("identifier-clause-legacy"),
            timestamp_ntz: name.starts_with("timestampNTZ"),
            enforce_reserved_keywords: name.contains("keywords-enforced"),
            ..ParserOptions::default()
        };
        for Statement { sql, output } in statements(&text) {
            let result = parse_statement(&sql, &options);
            if let Ok(plan) = &result {
                apply(plan, &mut options);
            }
            let shown = sql.replace('\n', "⏎");
            match (parse_error(&output), result) {
                (None, Ok(_)) => {
                    accepted += 1;
                    accepted_ok += 1;
                }
                (None, Err(e)) => {
                    accepted += 1;
                    if e.class().starts_with("UNSUPPORTED_FEATURE.NOT_IN") {
                        unsupported += 1;
                        if verbose {
                            println!("UNSUPPORTED {name}: {shown}\n    {}", e.text());
                        }
                        continue;
                    }
                    let known = output.contains(&format!("\"{}\"", e.class()));
                    if known {
                        accepted_ok += 1;
                        continue;
                    }
                    println!("REJECTED {name}: {shown}\n    [{}] {}", e.class(), e.text());
                }
                // What a string inside the statement says is found when the statement runs.
                (Some(_), Ok(_)) if shown.to_uppercase().starts_with("EXECUTE IMMEDIATE") => {}
                (Some((class, _)), Ok(_)) => {
                    rejected += 1;
                    println!("MISSED {name}: {shown}\n    {class}");
                }
                (Some((class, detail)), Err(e)) => {
                    rejected += 1;
                    if e.class() != class {
                        println!("CLASS {name}: {shown}\n    {class}, not [{}] {}", e.class(), e.text());
                        continue;
                    }
                    rejected_class += 1;
                    let ours: String = e
                        .parameters()
                        .iter()
                        .filter(|(k, _)| k == "error" || k == "hint")
                        .map(|(_, v)| v.as_str())
                        .collect();
                    if ours == detail {
                        rejected_detail += 1;
                    } else if verbose {
                        println!("DETAIL {name}: {shown}\n    {detail} but {ours}");
                    }
                }
            }
        }
    }
    println!("accepted by Spark: {accepted}, parsed: {accepted_ok}, refused by name: {unsupported}");
    println!(
        "rejected by Spark: {rejected}, same class: {rejected_class}, same token and hint: {rejected_detail}"
    );
}
