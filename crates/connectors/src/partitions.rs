//! Partition values in the names of directories: `day=2024-01-31/hour=7`.

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, StringArray, TimestampMicrosecondArray,
};
use arrow::array::{Float64Array, Int32Array, Int64Array};
use boathouse_bridge::{ResultExt, UTC, arrow_type};
use boathouse_formats::datetime_pattern::Pattern;
use boathouse_formats::datetime_text::{parse_date, parse_timestamp, parse_timestamp_ntz};
use boathouse_formats::number_text::{parse_decimal, parse_java_double};
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result, StructField};
use datafusion::common::ScalarValue;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// The directory of NULL and of the empty text.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The partition values of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// Names and values, outermost directory first; `None` stands for NULL.
    pub columns: Vec<(String, Option<String>)>,
    /// The directory that the outermost of them is in.
    pub base: Path,
}

impl Values {
    /// Whether another file's columns have the same names, below the same directory.
    pub fn is_like(&self, other: &Self) -> bool {
        let names = self.columns.iter().zip(&other.columns);
        self.columns.len() == other.columns.len()
            && names.into_iter().all(|((a, _), (b, _))| a == b)
            && self.base == other.base
    }
}

/// The `name=value` directories between a root and a file: the innermost run of them.
pub fn values_in(file: &Path, root: &Path) -> Result<Values> {
    let parts: Vec<_> = file.parts().collect();
    let directories = &parts[..parts.len().saturating_sub(1)];
    let mut columns = Vec::new();
    let mut outermost = directories.len();
    for (i, part) in directories.iter().enumerate().skip(root.parts().count()).rev() {
        let Some((name, value)) = part.as_ref().split_once('=') else {
            if columns.is_empty() {
                continue;
            }
            break;
        };
        let empty = |class: &str, what: &str| {
            Error::new(class)
                .param("columnSpec", part.as_ref())
                .message(format!("The directory {} has a partition column without a {what}.", part.as_ref()))
        };
        if name.is_empty() {
            return Err(empty("EMPTY_PARTITION_COLUMN_NAME", "name"));
        }
        if value.is_empty() {
            return Err(empty("EMPTY_PARTITION_COLUMN_VALUE", "value"));
        }
        let value = unescape(value);
        columns.push((unescape(name), (value != NULL_PARTITION).then_some(value)));
        outermost = i;
    }
    columns.reverse();
    Ok(Values { columns, base: directories[..outermost].iter().cloned().collect() })
}

/// Whether a directory between a root and a file is a `name=value`.
pub fn has_values(file: &Path, root: &Path) -> bool {
    let below: Vec<_> = file.parts().skip(root.parts().count()).collect();
    below.split_last().is_some_and(|(_, directories)| directories.iter().any(|d| d.as_ref().contains('=')))
}

fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Escapes a name or a value for a directory's name, as Hive does.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            out.push_str(&format!("%{:02X}", c as u32));
        } else {
            out.push(c);
        }
    }
    out
}

/// The directory below a place that rows with these values are in, outermost column first.
pub fn directory(place: &Path, values: &[(String, Option<String>)]) -> Result<Path> {
    values.iter().try_fold(place.clone(), |path, (name, value)| {
        let value = value.as_deref().filter(|text| !text.is_empty());
        let value = value.map_or_else(|| NULL_PARTITION.to_string(), escape);
        Path::parse(format!("{path}/{}={value}", escape(name)))
            .map_err(|e| Error::io("naming a partition's directory", e))
    })
}

/// Finds the types of partition columns from their values.
pub struct Inference {
    zone: Zone,
    infer_types: bool,
    timestamp: Pattern,
    timestamp_is_ntz: bool,
}

impl Inference {
    pub fn new(zone: &Zone, infer_types: bool, timestamp_is_ntz: bool) -> Result<Self> {
        Ok(Self {
            zone: zone.clone(),
            infer_types,
            timestamp: Pattern::for_parsing("yyyy-MM-dd HH:mm:ss[.S]")?,
            timestamp_is_ntz,
        })
    }

    /// The columns of all files' values. All files must have the same columns, in the same order, below the same
    /// directory, unless that may be any. `display` shows a place.
    pub fn columns(
        &self,
        files: &[Values],
        agreement: Agreement,
        display: impl Fn(&Path) -> String,
    ) -> Result<Vec<StructField>> {
        agreement.check_bases(files.iter().filter(|v| !v.columns.is_empty()), &display)?;
        agreement.check_names(files, &display)?;
        let Some(first) = files.first() else { return Ok(Vec::new()) };
        let mut columns: Vec<(String, DataType)> =
            first.columns.iter().map(|(n, v)| (n.clone(), self.type_of(v.as_deref()))).collect();
        for values in &files[1..] {
            for ((_, t), (_, value)) in columns.iter_mut().zip(&values.columns) {
                *t = wider(t, &self.type_of(value.as_deref()));
            }
        }
        Ok(columns.into_iter().map(|(name, t)| StructField::new(name, t, true)).collect())
    }

    fn type_of(&self, value: Option<&str>) -> DataType {
        let Some(text) = value else { return DataType::Null };
        if !self.infer_types {
            return DataType::STRING;
        }
        if text.parse::<i32>().is_ok() {
            return DataType::Integer;
        }
        if text.parse::<i64>().is_ok() {
            return DataType::Long;
        }
        if let Some(d) = parse_decimal(text)
            && d.scale == 0
            && d.precision <= 38
        {
            return DataType::Decimal { precision: d.precision as u8, scale: 0 };
        }
        if parse_java_double(text).is_some() {
            return DataType::Double;
        }
        if self.timestamp.parse_fields(text).is_ok() {
            return if self.timestamp_is_ntz { DataType::TimestampNtz } else { DataType::Timestamp };
        }
        let is_date = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        if is_date && parse_date(text).is_some() {
            return DataType::Date;
        }
        DataType::STRING
    }

    /// A value as a column's type; texts that do not fit are NULL.
    pub fn scalar(&self, value: Option<&str>, t: &DataType) -> Result<ScalarValue> {
        scalar(value, t, &self.zone)
    }
}

/// What the directories of a table have to agree in.
#[derive(Debug, Clone, Copy)]
pub struct Agreement {
    pub case_sensitive: bool,
    /// Partitions may begin anywhere (`ignoreInvalidPartitionPaths`).
    pub any_base: bool,
}

impl Agreement {
    /// Partition directories must begin in one place, and files without partition values be there, if anywhere.
    pub fn check_bases<'a>(
        self,
        mut files: impl Iterator<Item = &'a Values>,
        display: &impl Fn(&Path) -> String,
    ) -> Result<()> {
        let Some(first) = files.next().filter(|_| !self.any_base) else { return Ok(()) };
        let is_same = |v: &Values| v.base == first.base || lower(&v.base) == lower(&first.base);
        match files.find(|v| !is_same(v)) {
            Some(other) => Err(conflicting_bases(first, other, display)),
            None => Ok(()),
        }
    }

    /// All files must have the same partition columns.
    pub fn check_names(self, files: &[Values], display: &impl Fn(&Path) -> String) -> Result<()> {
        let Some(first) = files.first() else { return Ok(()) };
        let is_same =
            |a: &str, b: &str| a == b || (!self.case_sensitive && a.to_lowercase() == b.to_lowercase());
        let fits = |v: &Values| {
            v.columns.len() == first.columns.len()
                && v.columns.iter().zip(&first.columns).all(|((a, _), (b, _))| is_same(a, b))
        };
        match files.iter().find(|v| !fits(v)) {
            Some(other) => Err(conflicting_names(first, other, display)),
            None => Ok(()),
        }
    }
}

fn lower(path: &Path) -> String {
    path.as_ref().to_lowercase()
}

fn conflicting_names(a: &Values, b: &Values, display: impl Fn(&Path) -> String) -> Error {
    let names = |v: &Values| v.columns.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ");
    let lists = format!(
        "\n\tPartition column name list #0: {}\n\tPartition column name list #1: {}\n",
        names(a),
        names(b)
    );
    let paths = format!("\n\t{}\n\t{}", display(&directory_of(a)), display(&directory_of(b)));
    Error::new("CONFLICTING_PARTITION_COLUMN_NAMES")
        .param("distinctPartColLists", &lists)
        .param("suspiciousPaths", &paths)
        .message(format!(
            "The directories do not agree on the partition columns:{lists}Some of the directories:{paths}\n\
             Files must all be in directories of the last partition column."
        ))
}

fn conflicting_bases(a: &Values, b: &Values, display: impl Fn(&Path) -> String) -> Error {
    let bases = format!("\n\t{}\n\t{}\n", display(&a.base), display(&b.base));
    Error::new("CONFLICTING_DIRECTORY_STRUCTURES").param("discoveredBasePaths", &bases).message(format!(
        "The partition directories begin in different places:{bases}Name the directory that they are all below with the \
         option basePath, or read the directories one by one and join them."
    ))
}

/// The directory of a file with these values.
fn directory_of(values: &Values) -> Path {
    values.columns.iter().fold(values.base.clone(), |path, (name, value)| {
        let value = value.as_deref().unwrap_or(NULL_PARTITION);
        Path::parse(format!("{path}/{}={}", escape(name), escape(value))).unwrap_or(path)
    })
}

/// A partition value as a column's type.
pub fn scalar(value: Option<&str>, t: &DataType, zone: &Zone) -> Result<ScalarValue> {
    let null = || ScalarValue::try_from(&arrow_type(t)).spark();
    let Some(text) = value else { return null() };
    let array: Option<ArrayRef> = match t {
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => {
            Some(Arc::new(StringArray::from(vec![text])))
        }
        DataType::Integer => text.trim().parse().ok().map(|v: i32| Arc::new(Int32Array::from(vec![v])) as _),
        DataType::Long => text.trim().parse().ok().map(|v: i64| Arc::new(Int64Array::from(vec![v])) as _),
        DataType::Double => parse_java_double(text).map(|v| Arc::new(Float64Array::from(vec![v])) as _),
        DataType::Boolean => match text.to_lowercase().as_str() {
            "true" => Some(Arc::new(BooleanArray::from(vec![true]))),
            "false" => Some(Arc::new(BooleanArray::from(vec![false]))),
            _ => None,
        },
        DataType::Date => parse_date(text).map(|v| Arc::new(Date32Array::from(vec![v])) as _),
        DataType::Timestamp => parse_timestamp(text, zone)
            .map(|v| Arc::new(TimestampMicrosecondArray::from(vec![v]).with_timezone(UTC)) as _),
        DataType::TimestampNtz => {
            parse_timestamp_ntz(text, true).map(|v| Arc::new(TimestampMicrosecondArray::from(vec![v])) as _)
        }
        DataType::Decimal { precision, scale } => {
            match parse_decimal(text.trim()).and_then(|d| d.rescale(*precision, *scale)) {
                Some(v) => Some(Arc::new(
                    Decimal128Array::from(vec![v])
                        .with_precision_and_scale(*precision, *scale as i8)
                        .spark()?,
                )),
                None => None,
            }
        }
        other => {
            // The remaining number types, by way of a wider one.
            let wide = parse_java_double(text).map(ScalarValue::from);
            return match wide.map(|w| w.cast_to(&arrow_type(other))) {
                Some(Ok(value)) => Ok(value),
                _ => null(),
            };
        }
    };
    match array {
        Some(array) => ScalarValue::try_from_array(&array, 0).spark(),
        None => null(),
    }
}

/// The type that holds the values of both, by Spark's rules for partition columns.
fn wider(a: &DataType, b: &DataType) -> DataType {
    use DataType::{Date, Double, Integer, Long, Null, Timestamp, TimestampNtz};
    let digits = |t: &DataType| match t {
        Integer => Some(10),
        Long => Some(20),
        DataType::Decimal { precision, .. } => Some(*precision),
        _ => None,
    };
    match (a, b) {
        (a, b) if a == b => a.clone(),
        (Null, t) | (t, Null) => t.clone(),
        (Integer, Long) | (Long, Integer) => Long,
        (Integer, Double) | (Double, Integer) => Double,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        (Date, TimestampNtz) | (TimestampNtz, Date) => TimestampNtz,
        (a, b) => match (digits(a), digits(b)) {
            (Some(p), Some(q)) => DataType::Decimal { precision: p.max(q).min(38), scale: 0 },
            _ => DataType::STRING,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(files: &[&str]) -> Result<Vec<String>> {
        let base = Path::parse("t").unwrap();
        let values: Vec<_> =
            files.iter().map(|f| values_in(&Path::parse(*f).unwrap(), &base)).collect::<Result<_>>()?;
        let inference = Inference::new(&Zone::UTC, true, false)?;
        let agreement = Agreement { case_sensitive: false, any_base: false };
        let fields = inference.columns(&values, agreement, |p| p.to_string())?;
        Ok(fields.iter().map(|f| format!("{}:{}", f.name, f.data_type.simple_string())).collect())
    }

    #[test]
    fn types_are_sparks() {
        assert_eq!(columns(&["t/a=1/b=x/f"]).unwrap(), ["a:int", "b:string"]);
        assert_eq!(columns(&["t/a=1/f", "t/a=3000000000/f"]).unwrap(), ["a:bigint"]);
        assert_eq!(columns(&["t/a=12345678901234567890/f"]).unwrap(), ["a:decimal(20,0)"]);
        assert_eq!(columns(&["t/a=1.5/f", "t/a=2/f"]).unwrap(), ["a:double"]);
        assert_eq!(columns(&["t/a=2024-01-31/f"]).unwrap(), ["a:date"]);
        assert_eq!(columns(&["t/a=2024-01-31 12%3A34%3A56.5/f"]).unwrap(), ["a:timestamp"]);
        assert_eq!(columns(&["t/a=2024-01-31/f", "t/a=x/f"]).unwrap(), ["a:string"]);
        assert_eq!(columns(&["t/a=__HIVE_DEFAULT_PARTITION__/f", "t/a=7/f"]).unwrap(), ["a:int"]);
        assert_eq!(columns(&["t/a=__HIVE_DEFAULT_PARTITION__/f"]).unwrap(), ["a:void"]);
        assert_eq!(columns(&["t/a=3000000000/f", "t/a=1.5/f"]).unwrap(), ["a:string"]);
        assert_eq!(columns(&["t/a=1/f", "t/a=12345678901234567890/f"]).unwrap(), ["a:decimal(20,0)"]);
        assert_eq!(columns(&["t/a=2024-01-31/f", "t/a=2024-01-31 10%3A00%3A00/f"]).unwrap(), ["a:timestamp"]);
        assert_eq!(columns(&["t/a=2024-1-3/f"]).unwrap(), ["a:string"]);
        assert_eq!(columns(&["t/a=true/f"]).unwrap(), ["a:string"]);
        assert_eq!(columns(&["t/x/a=1/f"]).unwrap(), ["a:int"]);
        assert_eq!(columns(&["t/b=1/x/a=1/y/f"]).unwrap(), ["a:int"]);
        assert_eq!(columns(&["t/f"]).unwrap(), Vec::<String>::new());
        for (files, class) in [
            (vec!["t/a=1/f", "t/b=1/f"], "CONFLICTING_PARTITION_COLUMN_NAMES"),
            (vec!["t/a=1/f", "t/a=1/b=2/f"], "CONFLICTING_PARTITION_COLUMN_NAMES"),
            (vec!["t/a=1/f", "t/x/a=1/f"], "CONFLICTING_DIRECTORY_STRUCTURES"),
            (vec!["t/a=/f"], "EMPTY_PARTITION_COLUMN_VALUE"),
            (vec!["t/=1/f"], "EMPTY_PARTITION_COLUMN_NAME"),
        ] {
            assert_eq!(columns(&files).unwrap_err().class(), class);
        }
    }

    #[test]
    fn names_are_escaped_as_hive_does() {
        assert_eq!(escape("a b/c=d%:é"), "a b%2Fc%3Dd%25%3Aé");
        let base = Path::parse("t").unwrap();
        let file = Path::parse("t/p=a b%2Fc%3Dd%25%3Aé/f.json").unwrap();
        let values = values_in(&file, &base).unwrap();
        assert_eq!(values.columns, [("p".to_string(), Some("a b/c=d%:é".to_string()))]);
        assert_eq!(values.base, base);
    }

    #[test]
    fn values_become_directories() {
        let values = [("p".to_string(), Some("a/b".to_string())), ("q".to_string(), None)];
        let found = directory(&Path::parse("t").unwrap(), &values).unwrap();
        assert_eq!(found.as_ref(), "t/p=a%2Fb/q=__HIVE_DEFAULT_PARTITION__");
    }

    #[test]
    fn values_become_scalars() {
        let s = |v, t| scalar(Some(v), &t, &Zone::UTC).unwrap();
        assert_eq!(s("7", DataType::Integer), ScalarValue::Int32(Some(7)));
        assert_eq!(s("7", DataType::Short), ScalarValue::Int16(Some(7)));
        assert_eq!(s("x", DataType::Integer), ScalarValue::Int32(None));
        assert_eq!(s("true", DataType::Boolean), ScalarValue::Boolean(Some(true)));
        assert_eq!(
            s("1970-01-01 00:00:01", DataType::Timestamp),
            ScalarValue::TimestampMicrosecond(Some(1_000_000), Some("UTC".into()))
        );
        assert_eq!(scalar(None, &DataType::STRING, &Zone::UTC).unwrap(), ScalarValue::Utf8(None));
    }
}
