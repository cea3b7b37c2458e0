//! The keys Spark knows, from `keys.tsv`: key, default, first version, flags, type, meaning here. The names, defaults, versions
//! and types are those that a released Spark reports; the meanings are ours, and empty for keys without effect here.

use std::collections::HashMap;
use std::sync::LazyLock;

use boathouse_spec::{Error, Result};

use super::zone::check_zone;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// A session may set it.
    Runtime,
    /// Fixed when the server starts.
    Static,
    /// Of Spark's core: about the cluster, not the session.
    Core,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub default: Option<String>,
    /// The key whose value is the default.
    pub default_from: Option<String>,
    pub version: &'static str,
    /// Listed by `SET -v`.
    pub is_public: bool,
    pub kind: KeyKind,
    value_type: ValueType,
    meaning: &'static str,
}

#[derive(Debug)]
enum ValueType {
    Text,
    Zone,
    Boolean,
    /// With the smallest value allowed.
    Integer {
        type_name: &'static str,
        from: Option<i64>,
    },
    Double {
        from: Option<i64>,
    },
    Bytes {
        unit: &'static str,
        from: Option<i64>,
    },
    Duration {
        unit: &'static str,
    },
    OneOf(Vec<&'static str>),
}

static KEYS: LazyLock<(Vec<Key>, HashMap<&'static str, usize>)> = LazyLock::new(|| {
    let keys: Vec<Key> = include_str!("keys.tsv").lines().filter_map(read).collect();
    let index = keys.iter().enumerate().map(|(i, k)| (k.name, i)).collect();
    (keys, index)
});

/// All keys, by name.
pub(crate) fn known_keys() -> &'static [Key] {
    &KEYS.0
}

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.1.get(name).map(|i| &KEYS.0[*i])
}

/// The name that took the place of an old one.
pub(super) fn current_name(key: &str) -> &str {
    match key {
        "mapred.reduce.tasks" | "mapreduce.job.reduces" => "spark.sql.shuffle.partitions",
        other => other,
    }
}

/// Keys about how a session runs or shows, not about what a query means.
pub(super) fn is_session_only(key: &str) -> bool {
    [
        "spark.sql.shuffle.",
        "spark.sql.adaptive.",
        "spark.sql.catalog.",
        "spark.sql.warehouse.",
        "spark.sql.hive.",
        "spark.sql.execution.",
    ]
    .iter()
    .any(|p| key.starts_with(p))
        || key.starts_with("spark.sql.catalogImplementation")
}

fn read(line: &'static str) -> Option<Key> {
    let mut columns = line.split('\t');
    let (name, default, version, flags, value_type) =
        (columns.next()?, columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let meaning = columns.next().unwrap_or_default();
    let default_from =
        default.strip_prefix("<value of ").and_then(|d| d.strip_suffix('>')).map(str::to_string);
    let default = (default != "<undefined>" && default_from.is_none()).then(|| unescape(default));
    Some(Key {
        name,
        default,
        default_from,
        version,
        is_public: flags.starts_with('p'),
        kind: match flags.chars().last() {
            Some('c') => KeyKind::Core,
            Some('s') => KeyKind::Static,
            _ => KeyKind::Runtime,
        },
        value_type: read_type(value_type),
        meaning,
    })
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\")
}

fn read_type(text: &'static str) -> ValueType {
    if let Some(options) = text.strip_prefix("one of ") {
        return ValueType::OneOf(options.split(',').collect());
    }
    let (name, from) = match text.split_once(" from ") {
        Some((name, from)) => (name, from.parse().ok()),
        None => (text, None),
    };
    match name {
        "zone" => ValueType::Zone,
        "boolean" => ValueType::Boolean,
        "int" | "long" => ValueType::Integer { type_name: name, from },
        "double" => ValueType::Double { from },
        "bytes" => ValueType::Bytes { unit: "BYTE", from },
        "mebibytes" => ValueType::Bytes { unit: "MiB", from },
        "seconds" => ValueType::Duration { unit: "SECONDS" },
        "milliseconds" => ValueType::Duration { unit: "MILLISECONDS" },
        _ => ValueType::Text,
    }
}

impl Key {
    /// What the key does here.
    pub fn meaning(&self) -> &'static str {
        if self.meaning.is_empty() { "Known to Spark; accepted, without effect here." } else { self.meaning }
    }

    /// The default as `SET -v` shows it.
    pub fn shown_default(&self) -> String {
        match (&self.default, &self.default_from) {
            (Some(value), _) => value.clone(),
            (None, Some(other)) => format!("<value of {other}>"),
            (None, None) => "<undefined>".to_string(),
        }
    }

    /// The default as `conf.get` gives it: sizes in bytes, however the default was written.
    pub(super) fn read_default(&self, default: &str) -> String {
        let size = match &self.value_type {
            ValueType::Bytes { .. } if self.name.starts_with("spark.sql.") => parse_bytes(default),
            _ => None,
        };
        size.map_or_else(|| default.to_string(), |bytes| format!("{bytes}b"))
    }

    pub fn check(&self, value: &str) -> Result<()> {
        let trimmed = value.trim();
        let (type_name, from, number) = match &self.value_type {
            ValueType::Text => return Ok(()),
            ValueType::Zone => return check_zone(value),
            ValueType::Boolean => {
                let ok = trimmed.eq_ignore_ascii_case("true") || trimmed.eq_ignore_ascii_case("false");
                return if ok { Ok(()) } else { Err(self.mismatch(value, "boolean")) };
            }
            ValueType::OneOf(options) => {
                let ok = options.iter().any(|o| o.eq_ignore_ascii_case(value));
                return if ok { Ok(()) } else { Err(self.no_option(value, options)) };
            }
            ValueType::Duration { unit } => {
                return match parse_duration(trimmed) {
                    Some(_) => Ok(()),
                    None => Err(self.mismatch(value, &format!("time in {unit}"))),
                };
            }
            ValueType::Integer { type_name: "int", from } => {
                ("int".to_string(), *from, trimmed.parse::<i32>().ok().map(f64::from))
            }
            ValueType::Integer { type_name, from } => {
                (type_name.to_string(), *from, trimmed.parse::<i64>().ok().map(|v| v as f64))
            }
            ValueType::Double { from } => ("double".to_string(), *from, trimmed.parse::<f64>().ok()),
            ValueType::Bytes { unit, from } => {
                (format!("bytes in {unit}"), *from, parse_bytes(trimmed).map(|v| v as f64))
            }
        };
        let number = number.ok_or_else(|| self.mismatch(value, &type_name))?;
        match from {
            Some(from) if number < from as f64 => Err(self.too_small(value, from)),
            _ => Ok(()),
        }
    }

    fn invalid(&self, subclass: &str, value: &str) -> Error {
        Error::new(format!("INVALID_CONF_VALUE.{subclass}"))
            .param("confName", format!("\"{}\"", self.name))
            .param("confValue", value)
            .exception("IllegalArgumentException")
    }

    fn mismatch(&self, value: &str, type_name: &str) -> Error {
        self.invalid("TYPE_MISMATCH", value).param("confType", type_name).message(format!(
            "'{value}' cannot be the value of \"{}\", which takes a value of the type {type_name}.",
            self.name
        ))
    }

    fn no_option(&self, value: &str, options: &[&str]) -> Error {
        let list = options.join(", ");
        self.invalid("OUT_OF_RANGE_OF_OPTIONS", value)
            .param("confOptions", &list)
            .message(format!("'{value}' cannot be the value of \"{}\". Choose one of {list}.", self.name))
    }

    fn too_small(&self, value: &str, from: i64) -> Error {
        let requirement = match from {
            1 => format!("The value of {} must be positive", self.name),
            n => format!("The value of {} must be at least {n}", self.name),
        };
        self.invalid("REQUIREMENT", value)
            .message(format!("'{value}' cannot be the value of \"{}\". {requirement}.", self.name))
            .param("confRequirement", requirement)
    }
}

/// `128m`, `134217728b`, `1g`, `64kb`; a bare number is bytes.
pub(super) fn parse_bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let number: i64 = text[..digits].parse().ok()?;
    let shift = match &text[digits..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    number.checked_mul(1i64 << shift)
}

/// `10s`, `5min`, `100ms`; the number is all that is checked.
fn parse_duration(text: &str) -> Option<i64> {
    let text = text.to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let number = text[..digits].parse().ok()?;
    matches!(&text[digits..], "" | "us" | "ms" | "s" | "m" | "min" | "h" | "d").then_some(number)
}
