//! Elements as VARIANT values: as their text where they have nothing else, or as objects of their attributes and elements.

use std::collections::BTreeMap;

use boathouse_spec::Result;

use super::document::Document;
use super::parser::{Part, Reader};
use crate::number_text::parse_decimal;
use crate::variant::Builder;

/// A value on its way into a VARIANT.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Null,
    Boolean(bool),
    Long(i64),
    Decimal { unscaled: i128, scale: u8 },
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    pub fn write(&self, out: &mut Builder) -> Result<()> {
        match self {
            Self::Null => out.null(),
            Self::Boolean(value) => out.boolean(*value),
            Self::Long(value) => out.long(*value),
            Self::Decimal { unscaled, scale } => out.decimal(*unscaled, *scale),
            Self::Text(text) => out.string(text),
            Self::Array(values) => {
                let start = out.position();
                let mut offsets = Vec::with_capacity(values.len());
                for value in values {
                    offsets.push(out.position() - start);
                    value.write(out)?;
                }
                out.close_array(start, &offsets)?;
            }
            Self::Object(fields) => {
                let start = out.position();
                let mut entries = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    entries.push(out.field(start, name));
                    value.write(out)?;
                }
                out.close_object(start, &mut entries)?;
            }
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// The value of an element; what comes again in it is an array, under the name that came first.
    pub(super) fn variant(&self, document: &Document, element: usize) -> Tree {
        let mut fields: BTreeMap<String, (String, Vec<Tree>)> = BTreeMap::new();
        for (name, part) in self.parts(document, element) {
            let value = match part {
                Part::Attribute(text) | Part::Text(text) => self.variant_of_text(text),
                Part::Element(child) => self.variant(document, child),
            };
            let name = name.into_owned();
            let key = if self.options.case_sensitive { name.clone() } else { name.to_lowercase() };
            fields.entry(key).or_insert_with(|| (name, Vec::new())).1.push(value);
        }
        if fields.is_empty() {
            return Tree::Null;
        }
        // Text alone is the value itself.
        if fields.values().all(|(name, _)| *name == self.options.value_tag) {
            let mut texts = fields.into_values().flat_map(|(_, values)| values);
            return texts.next().unwrap_or(Tree::Null);
        }
        let field = |(name, mut values): (String, Vec<Tree>)| match (values.len(), values.pop()) {
            (1, Some(value)) => (name, value),
            (_, last) => {
                values.extend(last);
                (name, Tree::Array(values))
            }
        };
        Tree::Object(fields.into_values().map(field).collect())
    }

    /// A text as a boolean or a number where it is one. Dates stay text.
    pub(super) fn variant_of_text(&self, text: &str) -> Tree {
        if self.options.null_value.as_deref() == Some(text) {
            return Tree::Null;
        }
        let text = if self.options.ignore_surrounding_spaces { text.trim() } else { text };
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Tree::Boolean(text.eq_ignore_ascii_case("true"));
        }
        if let Ok(number) = text.parse() {
            return Tree::Long(number);
        }
        decimal(text).unwrap_or_else(|| Tree::Text(text.to_string()))
    }
}

/// A number that a DECIMAL holds, as it is written.
fn decimal(text: &str) -> Option<Tree> {
    let number = parse_decimal(&text.replace(',', ""))?;
    let scale = u8::try_from(number.scale.max(0)).ok().filter(|scale| *scale <= 38)?;
    let unscaled = number.rescale(38, scale)?;
    Some(Tree::Decimal { unscaled, scale })
}
