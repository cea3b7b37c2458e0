//! A table's columns: names in the table and in its files, types, changes of schema, and what rows must satisfy.

pub mod automatic_widening;
pub(crate) mod columns;
pub(crate) mod conform;
pub(crate) mod constraints;
pub mod identity;
pub mod lengths;
pub(crate) mod mentions;
pub(crate) mod path;
pub(crate) mod reconcile;
pub(crate) mod relabel;
pub mod stored;
pub(crate) mod widening;

pub(crate) use columns::{MappingMode, TableColumn, TableColumns, holds_variant, is_variant};
