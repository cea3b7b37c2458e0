//! `formats`: rows as text. JSON and CSV to and from Arrow, and Java's datetime patterns.
//!
//! Owns the text rules of Spark that `from_json`, `to_json`, `from_csv`, `to_csv`, `schema_of_json`, `date_format`,
//! `to_timestamp` and the JSON and CSV files share. It knows bytes and Arrow arrays only: files, object stores and
//! plans are `connectors`' and `functions`' business.
//!
//! Start with [`json::Parser`], [`csv::Parser`] and [`datetime_pattern::Pattern`].

pub mod binary_style;
pub mod calendar;
mod cell;
pub mod column;
pub mod csv;
pub mod datetime_pattern;
pub mod datetime_text;
pub mod display;
pub mod interval_parse;
pub mod interval_text;
pub mod json;
pub mod number_text;
pub mod options;
pub mod rescue;
pub mod variant;
pub mod xml;
pub mod zone;
pub mod zone_names;
