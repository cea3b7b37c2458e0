//! Spark's data types, with the spellings of `simpleString`, SQL, JSON and `printSchema`.

use serde_json::{Value, json};

use crate::{Error, Result, quote_if_needed};

/// A field of an interval type, coarse to fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IntervalField {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl IntervalField {
    pub fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }

    /// The field of that (lower case, singular) name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            _ => return None,
        })
    }
}

/// The collation of a string type; Spark's default is the byte order of UTF-8.
pub const UTF8_BINARY: &str = "UTF8_BINARY";

/// Spark's data types (`org.apache.spark.sql.types`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `void`, the type of a bare NULL.
    Null,
    Boolean,
    Byte,
    Short,
    Integer,
    Long,
    Float,
    Double,
    /// Precision 1..=38, scale 0..=precision. (Negative scales exist in Spark only under a legacy flag.)
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// A string; `collation` is `None` for `UTF8_BINARY`.
    String {
        collation: Option<String>,
    },
    Char(u32),
    Varchar(u32),
    Binary,
    Date,
    /// Time of day with 0..=6 fractional digits.
    Time {
        precision: u8,
    },
    /// An instant, microseconds since the epoch, shown in the session time zone (`TIMESTAMP_LTZ`).
    Timestamp,
    /// A wall-clock time without zone, microseconds.
    TimestampNtz,
    /// Months, days and microseconds together (the legacy `INTERVAL`).
    CalendarInterval,
    YearMonthInterval {
        start: IntervalField,
        end: IntervalField,
    },
    DayTimeInterval {
        start: IntervalField,
        end: IntervalField,
    },
    Array {
        element: Box<DataType>,
        contains_null: bool,
    },
    Map {
        key: Box<DataType>,
        value: Box<DataType>,
        value_contains_null: bool,
    },
    Struct(StructType),
    Variant,
    /// Points, lines and areas on a plane. `srid`: the spatial reference system of all values; `None`: each has its own.
    Geometry {
        srid: Option<i32>,
    },
    /// The same on the globe.
    Geography {
        srid: Option<i32>,
    },
    /// A user-defined type of a Python client: stored as `sql_type`.
    Udt {
        python_class: Option<String>,
        jvm_class: Option<String>,
        serialized_class: Option<String>,
        sql_type: Box<DataType>,
    },
}

/// A field of a struct, or a column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StructField {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// The field's metadata, a JSON object as text; empty when there is none. Comments are under `comment`.
    pub metadata: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct StructType {
    pub fields: Vec<StructField>,
}

impl StructField {
    pub fn new(name: impl Into<String>, data_type: DataType, nullable: bool) -> Self {
        Self { name: name.into(), data_type, nullable, metadata: String::new() }
    }

    /// The metadata object, empty where none (or no valid object) is recorded.
    pub fn metadata_map(&self) -> serde_json::Map<String, Value> {
        match self.metadata.is_empty() {
            true => serde_json::Map::new(),
            false => serde_json::from_str(&self.metadata).unwrap_or_default(),
        }
    }

    pub fn with_metadata(mut self, metadata: &serde_json::Map<String, Value>) -> Self {
        self.metadata =
            if metadata.is_empty() { String::new() } else { Value::Object(metadata.clone()).to_string() };
        self
    }

    pub fn comment(&self) -> Option<String> {
        if self.metadata.is_empty() {
            return None;
        }
        self.metadata_map().get("comment").and_then(Value::as_str).map(str::to_string)
    }

    pub fn with_comment(self, comment: Option<&str>) -> Self {
        let mut metadata = self.metadata_map();
        match comment {
            Some(text) => metadata.insert("comment".into(), text.into()),
            None => metadata.remove("comment"),
        };
        self.with_metadata(&metadata)
    }
}

impl StructType {
    pub fn new(fields: Vec<StructField>) -> Self {
        Self { fields }
    }

    /// The position of a field by name, case-insensitively; the first where several match.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name.eq_ignore_ascii_case(name))
    }

    pub fn field(&self, name: &str) -> Option<&StructField> {
        self.index_of(name).map(|i| &self.fields[i])
    }

    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|f| f.name.as_str()).collect()
    }

    /// Spark's schema JSON (`StructType.json`), as Delta's `schemaString` and Python's `schema.json()` have it.
    pub fn json(&self) -> String {
        DataType::Struct(self.clone()).json_value().to_string()
    }

    pub fn from_json(text: &str) -> Result<Self> {
        match DataType::from_json(text)? {
            DataType::Struct(s) => Ok(s),
            other => Err(Error::new("INVALID_SCHEMA.NON_STRUCT_TYPE")
                .param("inputSchema", text)
                .param("dataType", other.sql())
                .message(format!("The schema must be a struct, not {}.", other.sql()))),
        }
    }

    /// The DDL text of the columns: `a INT NOT NULL,b STRING`.
    pub fn ddl(&self) -> String {
        self.fields.iter().map(StructField::ddl).collect::<Vec<_>>().join(",")
    }

    /// The tree of `printSchema`, to the given depth.
    pub fn tree_string(&self, depth: Option<usize>) -> String {
        let mut out = String::from("root\n");
        let max = depth.filter(|d| *d > 0).unwrap_or(usize::MAX);
        self.tree(" |", &mut out, max);
        out
    }

    fn tree(&self, prefix: &str, out: &mut String, depth: usize) {
        if depth == 0 {
            return;
        }
        for f in &self.fields {
            out.push_str(&format!(
                "{prefix}-- {}: {} (nullable = {})\n",
                escape_tree_name(&f.name),
                f.data_type.type_name(),
                f.nullable
            ));
            f.data_type.tree(&format!("{prefix}    |"), out, depth - 1);
        }
    }
}

fn escape_tree_name(name: &str) -> String {
    name.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

impl StructField {
    fn ddl(&self) -> String {
        let not_null = if self.nullable { "" } else { " NOT NULL" };
        let comment =
            self.comment().map(|c| format!(" COMMENT '{}'", c.replace('\\', "\\\\").replace('\'', "\\'")));
        format!(
            "{} {}{not_null}{}",
            quote_if_needed(&self.name),
            self.data_type.sql(),
            comment.unwrap_or_default()
        )
    }
}

impl DataType {
    pub const STRING: DataType = DataType::String { collation: None };
    /// Decimal of the widest precision with Spark's default scale.
    pub const SYSTEM_DECIMAL: DataType = DataType::Decimal { precision: 38, scale: 18 };
    pub const USER_DECIMAL: DataType = DataType::Decimal { precision: 10, scale: 0 };
    pub const DAY_TIME: DataType =
        DataType::DayTimeInterval { start: IntervalField::Day, end: IntervalField::Second };
    pub const YEAR_MONTH: DataType =
        DataType::YearMonthInterval { start: IntervalField::Year, end: IntervalField::Month };

    pub fn array(element: DataType, contains_null: bool) -> Self {
        Self::Array { element: Box::new(element), contains_null }
    }

    pub fn map(key: DataType, value: DataType, value_contains_null: bool) -> Self {
        Self::Map { key: Box::new(key), value: Box::new(value), value_contains_null }
    }

    pub fn structure(fields: Vec<StructField>) -> Self {
        Self::Struct(StructType { fields })
    }

    pub fn is_integral(&self) -> bool {
        matches!(self, Self::Byte | Self::Short | Self::Integer | Self::Long)
    }

    pub fn is_fractional(&self) -> bool {
        matches!(self, Self::Float | Self::Double | Self::Decimal { .. })
    }

    pub fn is_numeric(&self) -> bool {
        self.is_integral() || self.is_fractional()
    }

    /// Strings of every kind: `STRING`, `CHAR(n)`, `VARCHAR(n)`.
    pub fn is_string(&self) -> bool {
        matches!(self, Self::String { .. } | Self::Char(_) | Self::Varchar(_))
    }

    pub fn is_datetime(&self) -> bool {
        matches!(self, Self::Date | Self::Timestamp | Self::TimestampNtz)
    }

    pub fn is_interval(&self) -> bool {
        matches!(self, Self::CalendarInterval | Self::YearMonthInterval { .. } | Self::DayTimeInterval { .. })
    }

    pub fn is_spatial(&self) -> bool {
        matches!(self, Self::Geometry { .. } | Self::Geography { .. })
    }

    pub fn is_atomic(&self) -> bool {
        !matches!(
            self,
            Self::Null
                | Self::Array { .. }
                | Self::Map { .. }
                | Self::Struct(_)
                | Self::Udt { .. }
                | Self::CalendarInterval
        )
    }

    /// Whether values of the type have an order (Spark's `RowOrdering.isOrderable`).
    pub fn is_orderable(&self) -> bool {
        match self {
            Self::Map { .. } | Self::Variant | Self::CalendarInterval => false,
            Self::Geometry { .. } | Self::Geography { .. } => false,
            Self::Array { element, .. } => element.is_orderable(),
            Self::Struct(s) => s.fields.iter().all(|f| f.data_type.is_orderable()),
            Self::Udt { sql_type, .. } => sql_type.is_orderable(),
            _ => true,
        }
    }

    /// The same type with every nested value nullable (Spark's `asNullable`).
    pub fn as_nullable(&self) -> Self {
        match self {
            Self::Array { element, .. } => Self::array(element.as_nullable(), true),
            Self::Map { key, value, .. } => Self::map(key.as_nullable(), value.as_nullable(), true),
            Self::Struct(s) => Self::structure(
                s.fields
                    .iter()
                    .map(|f| StructField {
                        data_type: f.data_type.as_nullable(),
                        nullable: true,
                        ..f.clone()
                    })
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    /// Equal but for the nullability of nested values (Spark's `sameType` also ignores the case of field names).
    pub fn same_type(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array { element: a, .. }, Self::Array { element: b, .. }) => a.same_type(b),
            (Self::Map { key: k, value: v, .. }, Self::Map { key: l, value: w, .. }) => {
                k.same_type(l) && v.same_type(w)
            }
            (Self::Struct(a), Self::Struct(b)) => {
                a.fields.len() == b.fields.len()
                    && a.fields.iter().zip(&b.fields).all(|(x, y)| {
                        x.name.eq_ignore_ascii_case(&y.name) && x.data_type.same_type(&y.data_type)
                    })
            }
            _ => self == other,
        }
    }

    /// The bare name, as in JSON and `printSchema`: `integer`, `decimal(10,2)`, `struct`.
    pub fn type_name(&self) -> String {
        match self {
            Self::Integer => "integer".into(),
            Self::Long => "long".into(),
            Self::Short => "short".into(),
            Self::Byte => "byte".into(),
            Self::Array { .. } => "array".into(),
            Self::Map { .. } => "map".into(),
            Self::Struct(_) => "struct".into(),
            Self::Udt { .. } => "udt".into(),
            other => other.simple_string(),
        }
    }

    /// Spark's `simpleString`: `int`, `array<string>`, `struct<a:int>`.
    pub fn simple_string(&self) -> String {
        match self {
            Self::Null => "void".into(),
            Self::Boolean => "boolean".into(),
            Self::Byte => "tinyint".into(),
            Self::Short => "smallint".into(),
            Self::Integer => "int".into(),
            Self::Long => "bigint".into(),
            Self::Float => "float".into(),
            Self::Double => "double".into(),
            Self::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            Self::String { collation: None } => "string".into(),
            Self::String { collation: Some(c) } => format!("string collate {c}"),
            Self::Char(n) => format!("char({n})"),
            Self::Varchar(n) => format!("varchar({n})"),
            Self::Binary => "binary".into(),
            Self::Date => "date".into(),
            Self::Time { precision } => format!("time({precision})"),
            Self::Timestamp => "timestamp".into(),
            Self::TimestampNtz => "timestamp_ntz".into(),
            Self::CalendarInterval => "interval".into(),
            Self::YearMonthInterval { start, end } | Self::DayTimeInterval { start, end } => {
                if start == end {
                    format!("interval {}", start.name())
                } else {
                    format!("interval {} to {}", start.name(), end.name())
                }
            }
            Self::Array { element, .. } => format!("array<{}>", element.simple_string()),
            Self::Map { key, value, .. } => format!("map<{},{}>", key.simple_string(), value.simple_string()),
            Self::Struct(s) => {
                let fields: Vec<_> =
                    s.fields.iter().map(|f| format!("{}:{}", f.name, f.data_type.simple_string())).collect();
                format!("struct<{}>", fields.join(","))
            }
            Self::Variant => "variant".into(),
            Self::Geometry { srid } => format!("geometry({})", shown_srid(*srid)),
            Self::Geography { srid } => format!("geography({})", shown_srid(*srid)),
            Self::Udt { sql_type, .. } => sql_type.simple_string(),
        }
    }

    /// The type as SQL writes it in DDL and messages: `INT`, `ARRAY<STRING>`, `STRUCT<a: INT NOT NULL>`.
    pub fn sql(&self) -> String {
        match self {
            Self::Array { element, .. } => format!("ARRAY<{}>", element.sql()),
            Self::Map { key, value, .. } => format!("MAP<{}, {}>", key.sql(), value.sql()),
            Self::Struct(s) => {
                let fields: Vec<_> = s
                    .fields
                    .iter()
                    .map(|f| {
                        let not_null = if f.nullable { "" } else { " NOT NULL" };
                        let comment = f
                            .comment()
                            .map(|c| format!(" COMMENT '{}'", c.replace('\\', "\\\\").replace('\'', "\\'")))
                            .unwrap_or_default();
                        format!("{}: {}{not_null}{comment}", quote_if_needed(&f.name), f.data_type.sql())
                    })
                    .collect();
                format!("STRUCT<{}>", fields.join(", "))
            }
            Self::String { collation: Some(c) } => format!("STRING COLLATE {c}"),
            Self::Udt { sql_type, .. } => sql_type.sql(),
            other => other.simple_string().to_uppercase(),
        }
    }

    fn tree(&self, prefix: &str, out: &mut String, depth: usize) {
        if depth == 0 {
            return;
        }
        match self {
            Self::Array { element, contains_null } => {
                out.push_str(&format!(
                    "{prefix}-- element: {} (containsNull = {contains_null})\n",
                    element.type_name()
                ));
                element.tree(&format!("{prefix}    |"), out, depth - 1);
            }
            Self::Map { key, value, value_contains_null } => {
                out.push_str(&format!("{prefix}-- key: {}\n", key.type_name()));
                key.tree(&format!("{prefix}    |"), out, depth - 1);
                out.push_str(&format!(
                    "{prefix}-- value: {} (valueContainsNull = {value_contains_null})\n",
                    value.type_name()
                ));
                value.tree(&format!("{prefix}    |"), out, depth - 1);
            }
            Self::Struct(s) => s.tree(prefix, out, depth),
            _ => {}
        }
    }

    /// The JSON form (`DataType.json`).
    pub fn json_value(&self) -> Value {
        match self {
            Self::Geometry { srid } => {
                Value::String(format!("geometry({})", crate::spatial::reference_name(*srid, false)))
            }
            Self::Geography { srid } => Value::String(format!(
                "geography({}, SPHERICAL)",
                crate::spatial::reference_name(*srid, true)
            )),
            Self::Array { element, contains_null } => {
                json!({"type": "array", "elementType": element.json_value(), "containsNull": contains_null})
            }
            Self::Map { key, value, value_contains_null } => json!({
                "type": "map", "keyType": key.json_value(), "valueType": value.json_value(),
                "valueContainsNull": value_contains_null
            }),
            Self::Struct(s) => {
                let fields: Vec<_> = s
                    .fields
                    .iter()
                    .map(|f| {
                        let mut metadata = f.metadata_map();
                        let mut collations = serde_json::Map::new();
                        collect_collations(&f.data_type, &f.name, &mut collations);
                        if !collations.is_empty() {
                            metadata.insert(COLLATIONS.into(), Value::Object(collations));
                        }
                        json!({
                            "name": f.name, "type": f.data_type.json_value(), "nullable": f.nullable,
                            "metadata": Value::Object(metadata)
                        })
                    })
                    .collect();
                json!({"type": "struct", "fields": fields})
            }
            Self::Udt { python_class, jvm_class, serialized_class, sql_type } => {
                let mut out = serde_json::Map::new();
                out.insert("type".into(), "udt".into());
                for (key, value) in
                    [("class", jvm_class), ("pyClass", python_class), ("serializedClass", serialized_class)]
                {
                    if let Some(value) = value {
                        out.insert(key.into(), value.clone().into());
                    }
                }
                out.insert("sqlType".into(), sql_type.json_value());
                Value::Object(out)
            }
            // Collations are recorded in the field's metadata; the bare type is a string.
            Self::String { .. } => "string".into(),
            other => Value::String(other.type_name()),
        }
    }

    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| malformed_schema(text, &e.to_string()))?;
        Self::from_json_value(&value)
    }

    pub fn from_json_value(value: &Value) -> Result<Self> {
        match value {
            Value::String(name) => Self::from_json_name(name),
            Value::Object(o) => match o.get("type").and_then(Value::as_str) {
                Some("array") => Ok(Self::array(
                    Self::from_json_value(member(o, "elementType")?)?,
                    o.get("containsNull").and_then(Value::as_bool).unwrap_or(true),
                )),
                Some("map") => Ok(Self::map(
                    Self::from_json_value(member(o, "keyType")?)?,
                    Self::from_json_value(member(o, "valueType")?)?,
                    o.get("valueContainsNull").and_then(Value::as_bool).unwrap_or(true),
                )),
                Some("struct") => {
                    let fields = member(o, "fields")?.as_array().cloned().unwrap_or_default();
                    fields.iter().map(field_from_json).collect::<Result<Vec<_>>>().map(Self::structure)
                }
                Some("udt") => {
                    let text = |k: &str| o.get(k).and_then(Value::as_str).map(str::to_string);
                    Ok(Self::Udt {
                        python_class: text("pyClass"),
                        jvm_class: text("class"),
                        serialized_class: text("serializedClass"),
                        sql_type: Box::new(Self::from_json_value(member(o, "sqlType")?)?),
                    })
                }
                _ => Err(malformed_schema(&value.to_string(), "it has no known `type`")),
            },
            other => Err(malformed_schema(&other.to_string(), "a type is a string or an object")),
        }
    }

    fn from_json_name(name: &str) -> Result<Self> {
        let numbers = |prefix: &str| -> Option<Vec<u32>> {
            let inner = name.strip_prefix(prefix)?.strip_prefix('(')?.strip_suffix(')')?;
            inner.split(',').map(|n| n.trim().parse().ok()).collect()
        };
        Ok(match name {
            "void" | "null" => Self::Null,
            "boolean" => Self::Boolean,
            "byte" | "tinyint" => Self::Byte,
            "short" | "smallint" => Self::Short,
            "integer" | "int" => Self::Integer,
            "long" | "bigint" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "decimal" => Self::USER_DECIMAL,
            "string" => Self::STRING,
            "binary" => Self::Binary,
            "date" => Self::Date,
            "time" => Self::Time { precision: 6 },
            "timestamp" | "timestamp_ltz" => Self::Timestamp,
            "timestamp_ntz" => Self::TimestampNtz,
            "interval" | "calendarinterval" => Self::CalendarInterval,
            "variant" => Self::Variant,
            _ => {
                if let Some([p, s]) = numbers("decimal").as_deref() {
                    return Ok(Self::Decimal { precision: *p as u8, scale: *s as u8 });
                }
                if let Some([n]) = numbers("char").as_deref() {
                    return Ok(Self::Char(*n));
                }
                if let Some([n]) = numbers("varchar").as_deref() {
                    return Ok(Self::Varchar(*n));
                }
                if let Some([p]) = numbers("time").as_deref() {
                    return Ok(Self::Time { precision: *p as u8 });
                }
                if let Some(collation) = name.strip_prefix("string collate ") {
                    return Ok(Self::String { collation: Some(collation.to_string()) });
                }
                if let Some(fields) = name.strip_prefix("interval ") {
                    let (start, end) = fields.split_once(" to ").unwrap_or((fields, fields));
                    if let (Some(start), Some(end)) = (IntervalField::parse(start), IntervalField::parse(end))
                    {
                        return Ok(if start <= IntervalField::Month {
                            Self::YearMonthInterval { start, end }
                        } else {
                            Self::DayTimeInterval { start, end }
                        });
                    }
                }
                if let Some(spatial) = spatial_from_name(name) {
                    return Ok(spatial);
                }
                return Err(malformed_schema(name, "no such type"));
            }
        })
    }
}

fn shown_srid(srid: Option<i32>) -> String {
    srid.map_or_else(|| "any".to_string(), |srid| srid.to_string())
}

/// `geometry(OGC:CRS84)`, `geography(SRID:ANY, SPHERICAL)`, and the simple names `geometry(4326)` and `geometry(any)`.
fn spatial_from_name(name: &str) -> Option<DataType> {
    let (kind, rest) = name.split_once('(')?;
    let is_geography = match kind {
        "geometry" => false,
        "geography" => true,
        _ => return None,
    };
    let mut parts = rest.strip_suffix(')')?.split(',').map(str::trim);
    let reference = parts.next()?;
    if parts.next().is_some_and(|algorithm| !is_geography || algorithm != "SPHERICAL") {
        return None;
    }
    let srid = match (reference, reference.parse::<i32>()) {
        ("any", _) => None,
        (_, Ok(srid)) => Some(crate::check_srid(srid, is_geography).ok()?),
        (name, Err(_)) => crate::spatial::named_reference(name, is_geography)?,
    };
    Some(if is_geography { DataType::Geography { srid } } else { DataType::Geometry { srid } })
}

fn member<'a>(o: &'a serde_json::Map<String, Value>, key: &str) -> Result<&'a Value> {
    o.get(key).ok_or_else(|| {
        malformed_schema(&Value::Object(o.clone()).to_string(), &format!("`{key}` is missing"))
    })
}

fn field_from_json(value: &Value) -> Result<StructField> {
    let Value::Object(o) = value else {
        return Err(malformed_schema(&value.to_string(), "a field is an object"));
    };
    let name = member(o, "name")?.as_str().unwrap_or_default();
    let mut field = StructField::new(
        name,
        DataType::from_json_value(member(o, "type")?)?,
        o.get("nullable").and_then(Value::as_bool).unwrap_or(true),
    );
    if let Some(Value::Object(metadata)) = o.get("metadata") {
        let mut metadata = metadata.clone();
        if let Some(Value::Object(collations)) = metadata.remove(COLLATIONS) {
            field.data_type = with_collations(field.data_type, name, &collations);
        }
        field = field.with_metadata(&metadata);
    }
    Ok(field)
}

/// Spark's key for the collations of the strings in a field, by their paths: `name`, `name.element`, `name.key`.
const COLLATIONS: &str = "__COLLATIONS";

/// The collations of the strings of a field's type; those of a struct's fields are in the fields.
fn collect_collations(t: &DataType, path: &str, out: &mut serde_json::Map<String, Value>) {
    match t {
        DataType::String { collation: Some(c) } => {
            let provider = if c.starts_with("UTF8_") { "spark" } else { "icu" };
            out.insert(path.to_string(), format!("{provider}.{c}").into());
        }
        DataType::Array { element, .. } => collect_collations(element, &format!("{path}.element"), out),
        DataType::Map { key, value, .. } => {
            collect_collations(key, &format!("{path}.key"), out);
            collect_collations(value, &format!("{path}.value"), out);
        }
        _ => {}
    }
}

/// The type with the collations that the field's metadata names.
fn with_collations(t: DataType, path: &str, collations: &serde_json::Map<String, Value>) -> DataType {
    match t {
        DataType::String { collation: None } => {
            let named = collations.get(path).and_then(Value::as_str).and_then(|n| n.split_once('.'));
            DataType::String { collation: named.map(|(_, name)| name.to_string()) }
        }
        DataType::Array { element, contains_null } => DataType::Array {
            element: Box::new(with_collations(*element, &format!("{path}.element"), collations)),
            contains_null,
        },
        DataType::Map { key, value, value_contains_null } => DataType::Map {
            key: Box::new(with_collations(*key, &format!("{path}.key"), collations)),
            value: Box::new(with_collations(*value, &format!("{path}.value"), collations)),
            value_contains_null,
        },
        other => other,
    }
}

fn malformed_schema(text: &str, why: &str) -> Error {
    let short: String = text.chars().take(200).collect();
    Error::new("INVALID_JSON_DATA_TYPE")
        .param("invalidType", &short)
        .message(format!("Failed to read the JSON of a data type, {why}: {short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips() {
        let schema = StructType::new(vec![
            StructField::new("a", DataType::Integer, false).with_comment(Some("the \"key\"")),
            StructField::new(
                "b",
                DataType::array(DataType::Decimal { precision: 10, scale: 2 }, false),
                true,
            ),
            StructField::new("c", DataType::map(DataType::STRING, DataType::DAY_TIME, true), true),
        ]);
        assert_eq!(StructType::from_json(&schema.json()).ok(), Some(schema));
    }

    #[test]
    fn spellings_are_sparks() {
        let t = DataType::structure(vec![StructField::new("a", DataType::Integer, false)]);
        assert_eq!(t.simple_string(), "struct<a:int>");
        assert_eq!(t.sql(), "STRUCT<a: INT NOT NULL>");
        assert_eq!(DataType::DAY_TIME.simple_string(), "interval day to second");
        assert_eq!(
            StructType::new(vec![StructField::new("x", DataType::array(DataType::Long, true), true)])
                .tree_string(None),
            "root\n |-- x: array (nullable = true)\n |    |-- element: long (containsNull = true)\n"
        );
    }
}
