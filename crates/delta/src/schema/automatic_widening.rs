//! Which wider types writes give to columns by themselves, where the table lets types grow (delta-spark's `TypeWideningMode`).

use boathouse_spec::DataType;

use super::widening::is_wider;
use crate::snapshot::Snapshot;

/// What a session allows (`spark.databricks.delta.typeWidening.allowAutomaticWidening`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutomaticWidening {
    /// All that ALTER COLUMN .. TYPE may do.
    #[default]
    Always,
    /// Not from whole numbers to others.
    SameFamily,
    Never,
}

impl AutomaticWidening {
    /// By the names of delta-spark's setting; `None` for others.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "ALWAYS" => Some(Self::Always),
            "SAME_FAMILY_TYPE" => Some(Self::SameFamily),
            "NEVER" => Some(Self::Never),
            _ => None,
        }
    }
}

/// What a write may do to the types of a table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Widening {
    /// `None` where types stay.
    allowed: Option<AutomaticWidening>,
}

impl Widening {
    /// What the table lets a session do.
    pub fn of(table: &Snapshot, allowed: AutomaticWidening) -> Self {
        let is_on = table.metadata().is_on("delta.enableTypeWidening");
        Self { allowed: is_on.then_some(allowed) }
    }

    /// Whether a column of the one type gets the other (`TypeWidening.isTypeChangeSupportedForSchemaEvolution`).
    pub(crate) fn takes(self, from: &DataType, to: &DataType) -> bool {
        let changes_kind = matches!(to, DataType::Double | DataType::Decimal { .. })
            && matches!(from, DataType::Byte | DataType::Short | DataType::Integer | DataType::Long);
        let is_allowed = match self.allowed {
            Some(AutomaticWidening::Always) => true,
            Some(AutomaticWidening::SameFamily) => !changes_kind,
            Some(AutomaticWidening::Never) | None => false,
        };
        is_allowed && from != to && is_wider(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_says_how_far() {
        use DataType::{Double, Integer, Long};
        let widening = |allowed| Widening { allowed };
        let (always, same) = (Some(AutomaticWidening::Always), AutomaticWidening::parse("same_family_type"));
        for (w, from, to, wanted) in [
            (widening(always), &Integer, &Double, true),
            (widening(same), &Integer, &Double, false),
            (widening(same), &Integer, &Long, true),
            (widening(AutomaticWidening::parse("never")), &Integer, &Long, false),
            (widening(None), &Integer, &Long, false),
            (widening(always), &Long, &Integer, false),
        ] {
            assert_eq!(w.takes(from, to), wanted, "{w:?}: {from:?} to {to:?}");
        }
        assert_eq!(AutomaticWidening::parse("sometimes"), None);
    }
}
