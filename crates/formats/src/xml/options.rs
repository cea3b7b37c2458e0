//! Options of the XML format.

use boathouse_spec::{Error, Result};

use crate::binary_style::BinaryStyle;
use crate::datetime_pattern::Pattern;
use crate::options::{Lookup, ParseMode, SessionDefaults, invalid};
use crate::rescue::Rescue;
use crate::zone::Zone;

/// How XML is read, inferred and written.
#[derive(Debug, Clone)]
pub struct Options {
    pub mode: ParseMode,
    pub corrupt_column: String,
    pub zone: Zone,
    pub binary_style: BinaryStyle,
    /// What the names of attributes begin with.
    pub attribute_prefix: String,
    /// The field of an element's text beside its attributes and elements.
    pub value_tag: String,
    /// The field that takes elements which have none.
    pub wildcard: String,
    pub exclude_attributes: bool,
    pub ignore_surrounding_spaces: bool,
    pub ignore_namespace: bool,
    /// The text that stands for NULL; none where it was not given.
    pub null_value: Option<String>,
    pub case_sensitive: bool,
    pub date_format: Option<Pattern>,
    pub timestamp_format: Option<Pattern>,
    pub timestamp_ntz_format: Option<Pattern>,
    /// The schema is one VARIANT, which takes the whole record, and may have the column of corrupt records. Only functions
    /// set it: files refuse the option `singleVariantColumn`.
    pub single_variant: bool,
    /// Records of files only: `from_xml` does not rescue, and these are not among the options that are parsed.
    pub rescue: Option<Rescue>,
    /// The file of the records, told with what is rescued.
    pub file_path: Option<String>,
    // ---- inferring
    pub infer_schema: bool,
    pub prefers_date: bool,
    pub prefers_decimal: bool,
    pub infer_ntz: bool,
    // ---- writing
    pub row_tag: String,
    /// The element around all rows of a file.
    pub root_tag: String,
    /// What stands between `<?xml` and `?>` at the beginning of a file; nothing where it is empty.
    pub declaration: String,
    /// The element of an array within an array.
    pub array_element: String,
    pub indent: String,
    pub date_format_out: Option<Pattern>,
    pub timestamp_format_out: Option<Pattern>,
    pub timestamp_ntz_format_out: Option<Pattern>,
}

impl Options {
    /// Reads options as a user gave them.
    pub fn parse(options: &[(String, String)], session: &SessionDefaults, writing: bool) -> Result<Self> {
        let given = Lookup(options);
        given.check_locale()?;
        if given.text("rowValidationXSDPath").is_some() {
            return Err(Error::unsupported("the option `rowValidationXSDPath` of XML"));
        }
        let text = |key: &str, default: &str| given.text(key).unwrap_or(default).to_string();
        check_names(&given)?;
        let reading = |key: &str| match writing {
            true => Ok(None),
            false => given.text(key).map(Pattern::for_reading_fields).transpose(),
        };
        let out = |key: &str| match writing {
            true => given.text(key).map(Pattern::for_formatting).transpose(),
            false => Ok(None),
        };
        Ok(Self {
            mode: given.text("mode").map(ParseMode::parse).unwrap_or_default(),
            corrupt_column: text("columnNameOfCorruptRecord", &session.corrupt_column),
            zone: given.zone(&session.zone)?,
            binary_style: session.binary_style,
            attribute_prefix: text("attributePrefix", "_"),
            value_tag: text("valueTag", "_VALUE"),
            wildcard: text("wildcardColName", "xs_any"),
            exclude_attributes: given.flag("excludeAttribute", false)?,
            ignore_surrounding_spaces: given.flag("ignoreSurroundingSpaces", true)?,
            ignore_namespace: given.flag("ignoreNamespace", false)?,
            null_value: given.text("nullValue").map(str::to_string),
            case_sensitive: session.case_sensitive,
            date_format: reading("dateFormat")?,
            timestamp_format: reading("timestampFormat")?,
            timestamp_ntz_format: reading("timestampNTZFormat")?,
            single_variant: false,
            rescue: None,
            file_path: None,
            infer_schema: given.flag("inferSchema", true)?,
            prefers_date: given.flag("prefersDate", true)?,
            prefers_decimal: given.flag("prefersDecimal", false)?,
            infer_ntz: session.infer_ntz,
            row_tag: text("rowTag", "ROW"),
            root_tag: text("rootTag", "ROWS"),
            declaration: text("declaration", r#"version="1.0" encoding="UTF-8" standalone="yes""#),
            array_element: text("arrayElementName", "item"),
            indent: text("indent", "    "),
            date_format_out: out("dateFormat")?,
            timestamp_format_out: out("timestampFormat")?,
            timestamp_ntz_format_out: out("timestampNTZFormat")?,
        })
    }

    /// Fails where a schema cannot be inferred by the patterns of timestamps, which are needed then.
    pub fn check_for_inferring(&self) -> Result<()> {
        let patterns = [&self.timestamp_format, &self.timestamp_ntz_format];
        patterns.into_iter().flatten().try_for_each(Pattern::check_readable)
    }

    /// The name of an element or attribute as fields have it.
    pub(super) fn shown_name<'a>(&self, name: &'a str) -> &'a str {
        match name.split_once(':') {
            Some((_, local)) if self.ignore_namespace => local,
            _ => name,
        }
    }
}

/// Refuses names of elements and fields that cannot be.
fn check_names(given: &Lookup) -> Result<()> {
    for key in ["rowTag", "valueTag"] {
        if let Some(name) = given.text(key)
            && name.trim().is_empty()
        {
            return Err(invalid(key, name, "a name"));
        }
    }
    for key in ["rowTag", "rootTag", "declaration"] {
        if let Some(text) = given.text(key)
            && (text.trim().starts_with('<') || text.trim().ends_with('>'))
        {
            return Err(invalid(key, text, "a text without < and >"));
        }
    }
    let value_tag = given.text("valueTag").unwrap_or("_VALUE");
    if given.text("attributePrefix").unwrap_or("_") == value_tag {
        return Err(invalid("valueTag", value_tag, "another name than `attributePrefix`"));
    }
    Ok(())
}
