//! What a query names that ends with the session: nothing that the catalog keeps may use it.

use super::Analyzer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemporaryKind {
    View,
    Function,
    Variable,
}

impl TemporaryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "VIEW",
            Self::Function => "FUNCTION",
            Self::Variable => "VARIABLE",
        }
    }
}

/// Something of the session that the analyzed text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Temporary {
    pub kind: TemporaryKind,
    pub name: Vec<String>,
}

impl Analyzer {
    /// Notes a temporary object. What the views in a query use is theirs.
    pub(super) fn note_temporary(&mut self, kind: TemporaryKind, name: Vec<String>) {
        if self.expanding.is_empty() {
            self.temporaries_used.push(Temporary { kind, name });
        }
    }
}
