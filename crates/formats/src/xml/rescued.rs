//! What an element has and its schema has no place for, as JSON: attributes and text are strings, elements with more than text
//! are objects, elements of one name an array.

use boathouse_spec::{DataType, StructType};

use super::document::Document;
use super::parser::{Part, Reader, Value};
use crate::json::write_text;
use crate::rescue::{self, Rescued};

/// What reading the fields of an element left over.
pub(super) struct Leftover {
    /// The fields with values that do not fit.
    pub misfits: Vec<bool>,
    /// For each value of each field what was rescued inside of it.
    pub inside: Vec<Vec<Option<String>>>,
}

impl Leftover {
    pub fn new(schema: &StructType) -> Self {
        let fields = schema.fields.len();
        Self { misfits: vec![false; fields], inside: vec![Vec::new(); fields] }
    }
}

/// JSON values by their names.
#[derive(Default)]
struct Named(Vec<(String, Vec<String>)>);

impl Named {
    fn add(&mut self, name: &str, json: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(json),
            None => self.0.push((name.to_string(), vec![json])),
        }
    }

    fn rescued(self) -> Rescued {
        let mut rescued = Rescued::default();
        for (name, values) in self.0 {
            let json = values.join(",");
            rescued.set(&name, if values.len() == 1 { json } else { format!("[{json}]") });
        }
        rescued
    }
}

impl Reader<'_> {
    /// The parts that are in no field. A field with a value that does not fit is NULL, and its values are among them.
    pub(super) fn rescue(
        &self,
        document: &Document,
        element: usize,
        schema: &StructType,
        fields: &mut [Value],
        leftover: Leftover,
    ) -> Rescued {
        let has_wildcard = self.find(schema, &self.options.wildcard).is_some();
        let mut named = Named::default();
        for (name, part) in self.parts(document, element) {
            let name = match self.find(schema, &name) {
                Some(i) if leftover.misfits[i] => schema.fields[i].name.as_str(),
                Some(_) => continue,
                None if has_wildcard && matches!(part, Part::Element(_)) => continue,
                None => &name,
            };
            if let Some(json) = self.json(document, &part) {
                named.add(name, json);
            }
        }
        let mut rescued = named.rescued();
        for (i, inside) in leftover.inside.into_iter().enumerate() {
            let field = &schema.fields[i];
            if leftover.misfits[i] {
                fields[i] = Value::Null;
                continue;
            }
            let json = match field.data_type {
                DataType::Array { .. } => rescue::array(&inside),
                _ => inside.into_iter().last().flatten(),
            };
            if let Some(json) = json {
                rescued.set(&field.name, json);
            }
        }
        rescued
    }

    /// A part as JSON; `None` where it is what stands for NULL.
    fn json(&self, document: &Document, part: &Part) -> Option<String> {
        let element = match part {
            Part::Attribute(text) | Part::Text(text) => return self.json_of_text(text),
            Part::Element(element) => *element,
        };
        if self.parts(document, element).all(|(_, part)| matches!(part, Part::Text(_))) {
            return self.json_of_text(&document.text(element));
        }
        let mut named = Named::default();
        for (name, part) in self.parts(document, element) {
            if let Some(json) = self.json(document, &part) {
                named.add(&name, json);
            }
        }
        named.rescued().object()
    }

    fn json_of_text(&self, text: &str) -> Option<String> {
        let text = if self.options.ignore_surrounding_spaces { text.trim() } else { text };
        if self.options.null_value.as_deref() == Some(text) {
            return None;
        }
        let mut json = String::new();
        write_text(text, false, &mut json);
        Some(json)
    }
}
