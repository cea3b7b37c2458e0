//! Runs a file of statements and prints what they give: for looking, not for checking.
//! `BOATHOUSE_SCRIPT=file.sql cargo test -p boathouse-engine --test it script -- --ignored --nocapture`

use crate::home::Home;

#[test]
#[ignore = "a tool"]
fn script() {
    let Ok(path) = std::env::var("BOATHOUSE_SCRIPT") else { return };
    let home = Home::new();
    for statement in std::fs::read_to_string(path).unwrap().lines().filter(|l| !l.trim().is_empty()) {
        let started = std::time::Instant::now();
        match home.run(statement) {
            Ok((schema, rows)) => {
                println!("OK  {statement} | {schema:?} {:?}", started.elapsed());
                for row in rows.iter().take(60) {
                    println!("      {}", row.join("|"));
                }
            }
            Err(e) => {
                println!("ERR {statement} | {} {:?} | {}", e.class(), e.parameters(), e.text());
            }
        }
    }
}

/// Compares with Spark's golden files: `BOATHOUSE_GOLDEN=results-directory BOATHOUSE_MATCH=name`.
#[test]
#[ignore = "a tool"]
fn golden() {
    let Ok(directory) = std::env::var("BOATHOUSE_GOLDEN") else { return };
    let wanted = std::env::var("BOATHOUSE_MATCH").unwrap_or_default();
    let (mut passed, mut all) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().to_string();
        if !name.ends_with(".sql.out") || !wanted.split(',').any(|w| name.starts_with(w)) {
            continue;
        }
        let home = Home::new();
        home.sql("SET spark.sql.session.timeZone=America/Los_Angeles").unwrap();
        home.sql("CREATE TEMPORARY VIEW testdata AS SELECT CAST(id AS INT) AS key, CAST(id AS STRING) AS value FROM range(1, 101)").unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for chunk in text.split("-- !query\n").skip(1) {
            let Some((statement, rest)) = chunk.split_once("\n-- !query schema\n") else { continue };
            let Some((schema, output)) = rest.split_once("\n-- !query output\n") else { continue };
            all += 1;
            let class =
                output.split("\"condition\" : \"").nth(1).or(output.split("\"errorClass\" : \"").nth(1));
            let class = class.and_then(|c| c.split('"').next());
            let got = home.run(statement);
            let difference = match (&got, class) {
                (Err(e), Some(class)) if e.class() == class => None,
                (Err(e), class) => {
                    Some(format!("{} {} instead of {:?}", e.class(), e.text(), class.unwrap_or(schema)))
                }
                (Ok((got, _)), Some(class)) => Some(format!("gave {got:?} instead of {class}")),
                (Ok((columns, rows)), None) => {
                    let shown: Vec<String> =
                        columns.iter().map(|c| c.replacen(": ", ":", 1).replace(" not null", "")).collect();
                    let shown = format!("struct<{}>", shown.join(","));
                    let mut a: Vec<String> = rows.iter().map(|r| r.join("\t")).collect();
                    let mut b: Vec<String> =
                        output.trim_end_matches('\n').lines().map(str::to_string).collect();
                    a.sort();
                    b.sort();
                    if shown != schema && !schema.is_empty() {
                        Some(format!("schema {shown} instead of {schema}"))
                    } else if a != b && !a.join("").contains('[') {
                        Some(format!("rows {a:?} instead of {b:?}"))
                    } else {
                        None
                    }
                }
            };
            match difference {
                None => passed += 1,
                Some(d) => println!("{name}: {}\n    {d}", statement.trim()),
            }
        }
    }
    println!("{passed} of {all}");
}
