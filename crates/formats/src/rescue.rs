//! `rescuedDataColumn`: a column that takes what the schema has no place for, as JSON: fields that it does not name, or names in
//! another case, and values that do not fit their column's type. By Databricks' public documentation of the rescued data column.

use boathouse_spec::{DataType, Error, Result, StructType};

use crate::json::write_text;
use crate::options::Lookup;

/// The field that tells the file of a record.
const FILE_PATH: &str = "_file_path";

/// How data is rescued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescue {
    pub column: String,
    /// Names that differ in case are different names (`readerCaseSensitive`).
    pub case_sensitive: bool,
}

impl Rescue {
    /// What the options say; `None` where nothing is rescued.
    pub fn parse(options: &[(String, String)]) -> Result<Option<Self>> {
        let given = Lookup(options);
        let case_sensitive = given.flag("readerCaseSensitive", true)?;
        let column = given.text("rescuedDataColumn").filter(|name| !name.is_empty());
        Ok(column.map(|column| Self { column: column.to_string(), case_sensitive }))
    }

    /// The place of the column in a schema. It must be a STRING.
    pub fn position(&self, schema: &StructType) -> Result<Option<usize>> {
        let Some(i) = schema.fields.iter().position(|f| f.name == self.column) else { return Ok(None) };
        let field = &schema.fields[i];
        if matches!(field.data_type, DataType::String { .. }) {
            return Ok(Some(i));
        }
        Err(Error::new("INVALID_RESCUED_DATA_TYPE")
            .param("columnName", boathouse_spec::quote(&self.column))
            .param("actualType", format!("\"{}\"", field.data_type.sql()))
            .message(format!(
                "The column {} takes rescued data and must be a nullable STRING, not {}.",
                boathouse_spec::quote(&self.column),
                field.data_type.sql()
            ))
            .exception("AnalysisException"))
    }

    /// Whether two names mean one column.
    pub fn same(&self, a: &str, b: &str) -> bool {
        if self.case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() }
    }
}

/// The text behind the rescued fields of a record: which file they are from, where that is to be told.
pub fn tail(file_path: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(path) = file_path {
        text.push(',');
        write_text(FILE_PATH, false, &mut text);
        text.push(':');
        write_text(path, false, &mut text);
    }
    text.push('}');
    text
}

/// The rescued fields of one object, each with its JSON.
#[derive(Debug, Default)]
pub struct Rescued(Vec<(String, String)>);

impl Rescued {
    /// Notes a field; the last of a name counts.
    pub fn set(&mut self, name: &str, json: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = json,
            None => self.0.push((name.to_string(), json)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// The object without its closing brace; `None` where nothing was rescued.
    pub fn open_object(&self) -> Option<String> {
        let mut text = String::from("{");
        for (i, (name, json)) in self.0.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            write_text(name, false, &mut text);
            text.push(':');
            text.push_str(json);
        }
        (!self.0.is_empty()).then_some(text)
    }

    /// The object; `None` where nothing was rescued.
    pub fn object(&self) -> Option<String> {
        self.open_object().map(|text| text + "}")
    }
}

/// What was rescued of the elements of an array, each in its place; `None` where nothing was.
pub fn array(elements: &[Option<String>]) -> Option<String> {
    let any = elements.iter().any(Option::is_some);
    let texts: Vec<&str> = elements.iter().map(|e| e.as_deref().unwrap_or("null")).collect();
    any.then(|| format!("[{}]", texts.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_json() {
        let mut rescued = Rescued::default();
        assert_eq!(rescued.object(), None);
        rescued.set("a\"b", "1".to_string());
        rescued.set("x", "null".to_string());
        rescued.set("x", "\"y\"".to_string());
        assert_eq!(rescued.object().unwrap(), r#"{"a\"b":1,"x":"y"}"#);
        assert_eq!(
            rescued.open_object().unwrap() + &tail(Some("s3://b/k")),
            r#"{"a\"b":1,"x":"y","_file_path":"s3://b/k"}"#
        );
        assert_eq!(tail(None), "}");
        assert_eq!(array(&[None, Some("{\"a\":1}".to_string())]).unwrap(), "[null,{\"a\":1}]");
        assert_eq!(array(&[None]), None);
    }
}
