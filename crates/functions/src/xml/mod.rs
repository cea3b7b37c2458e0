//! XML: `from_xml`, `to_xml`, `schema_of_xml`, and `xpath` with its kin. Reading and writing XML is `formats`' business.

mod convert;
mod evaluate;
mod expression;
mod xpath;

pub use convert::from_xml;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    convert::register(r);
    xpath::register(r);
}
