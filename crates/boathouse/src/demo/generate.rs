//! Sales to try things on: the guide's three, and as many more as wanted, some of them dirty.

use std::fs::{self, File};
use std::io::{BufWriter, Result, Write};
use std::path::Path;

/// The sample of the guide: the second sale has no customer and a negative amount.
pub const SAMPLE: &str = r#"{"sale_id": "SALE-001", "customer_id": 101, "amount": 150.00, "sale_date": "2024-01-15"}
{"sale_id": "SALE-002", "customer_id": null, "amount": -50.00, "sale_date": "2024-01-15"}
{"sale_id": "SALE-003", "customer_id": 103, "amount": 200.00, "sale_date": "2024-01-15"}
"#;

const ROWS_PER_FILE: u64 = 100_000;
/// One sale in so many has no customer; as many have a negative amount.
const DIRTY_ONE_IN: u64 = 200;

/// What was written.
pub struct Written {
    pub files: usize,
    pub bytes: u64,
}

/// Writes sales with the numbers from `first` on, as lines of JSON. The same numbers give the same sales.
pub fn write_sales(directory: &Path, first: u64, rows: u64) -> Result<Written> {
    fs::create_dir_all(directory)?;
    let mut written = Written { files: 0, bytes: 0 };
    let mut at = first;
    while at < first + rows {
        let end = (at + ROWS_PER_FILE).min(first + rows);
        // A pipeline that runs meanwhile sees whole files only: names with a dot are not read.
        let name = format!("sales-{at:09}.json");
        let unfinished = directory.join(format!(".{name}"));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
        for number in at..end {
            write_sale(&mut out, number)?;
        }
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        written.bytes += file.metadata()?.len();
        written.files += 1;
        fs::rename(&unfinished, directory.join(name))?;
        at = end;
    }
    Ok(written)
}

fn write_sale(out: &mut impl Write, number: u64) -> Result<()> {
    let random = mixed(number);
    let cents = 100 + random % 50_000;
    let sign = if mixed(random).is_multiple_of(DIRTY_ONE_IN) { "-" } else { "" };
    let (month, day) = (1 + (random >> 16) % 12, 1 + (random >> 24) % 28);
    let product = 500 + (random >> 32) % 100;
    let quantity = 1 + (random >> 40) % 5;
    write!(out, r#"{{"sale_id": "S-{number:08}", "customer_id": "#)?;
    match (random >> 48) % DIRTY_ONE_IN {
        0 => out.write_all(b"null")?,
        _ => write!(out, "{}", 1000 + mixed(random ^ 1) % 20_000)?,
    }
    writeln!(
        out,
        r#", "product_id": {product}, "amount": {sign}{}.{:02}, "quantity": {quantity}, "sale_date": "2024-{month:02}-{day:02}"}}"#,
        cents / 100,
        cents % 100
    )
}

/// The finalizer of SplitMix64: numbers that look random, the same each time.
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sales_are_json_and_some_are_dirty() {
        let directory = tempfile::tempdir().unwrap();
        let written = write_sales(directory.path(), 0, 2_000).unwrap();
        assert_eq!(written.files, 1);
        let text = fs::read_to_string(directory.path().join("sales-000000000.json")).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(rows.len(), 2_000);
        assert!(rows.iter().any(|r| r["customer_id"].is_null()));
        assert!(rows.iter().any(|r| r["amount"].as_f64().unwrap() < 0.0));
        assert!(rows.iter().filter(|r| r["customer_id"].is_null()).count() < 50);
    }

    #[test]
    fn files_hold_a_bounded_number_of_rows() {
        let directory = tempfile::tempdir().unwrap();
        let written = write_sales(directory.path(), 5, ROWS_PER_FILE + 1).unwrap();
        assert_eq!(written.files, 2);
        assert!(directory.path().join("sales-000100005.json").exists());
    }
}
