//! Names of collations: `UTF8_BINARY`, `UTF8_LCASE`, `UNICODE` and languages (`sr_Cyrl_SRB`), with `_CI`, `_AI`, `_RTRIM`.

use std::sync::LazyLock;

/// A collation by its name's parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collation {
    pub(super) base: Base,
    pub(super) ignores_case: bool,
    pub(super) ignores_accents: bool,
    /// Trailing blanks do not count.
    pub(super) trims: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Base {
    Binary,
    Lowercase,
    Locale(&'static Locale),
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Locale {
    /// Spark's name: language, script, country in three letters.
    pub name: &'static str,
    pub language: &'static str,
    pub country: &'static str,
}

/// All locales, `UNICODE` first.
pub fn locales() -> &'static [Locale] {
    &LOCALES
}

static LOCALES: LazyLock<Vec<Locale>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let mut columns = line.split('\t');
        Some(Locale { name: columns.next()?, language: columns.next()?, country: columns.next()? })
    };
    include_str!("locales.tsv").lines().filter_map(line).collect()
});

impl Collation {
    /// The collation of that name, in any case and with its suffixes in any order.
    pub fn of(name: &str) -> Option<Self> {
        let upper = name.to_uppercase();
        let upper = upper.strip_prefix("SYSTEM.BUILTIN.").unwrap_or(&upper);
        let (base, rest) = base_of(upper)?;
        let mut out = Self { base, ignores_case: false, ignores_accents: false, trims: false };
        let (mut case, mut accent) = (false, false);
        for part in rest.split('_').skip(1) {
            let is_locale = matches!(base, Base::Locale(_));
            match part {
                "CI" | "CS" if is_locale && !case => (case, out.ignores_case) = (true, part == "CI"),
                "AI" | "AS" if is_locale && !accent => (accent, out.ignores_accents) = (true, part == "AI"),
                "RTRIM" if !out.trims => out.trims = true,
                _ => return None,
            }
        }
        out.ignores_case |= base == Base::Lowercase;
        Some(out)
    }

    /// The name as Spark writes it.
    pub fn name(&self) -> String {
        let (base, is_locale) = match self.base {
            Base::Binary => ("UTF8_BINARY", false),
            Base::Lowercase => ("UTF8_LCASE", false),
            Base::Locale(l) => (l.name, true),
        };
        let mut out = base.to_string();
        let mut suffix = |wanted: bool, text: &str| {
            if wanted {
                out.push_str(text);
            }
        };
        suffix(is_locale && self.ignores_case, "_CI");
        suffix(self.ignores_accents, "_AI");
        suffix(self.trims, "_RTRIM");
        out
    }

    /// Whether strings compare by their bytes.
    pub fn is_binary(&self) -> bool {
        self.base == Base::Binary && !self.trims
    }

    /// Whether strings compare by their bytes once in lower case.
    pub fn is_lowercase(&self) -> bool {
        self.base == Base::Lowercase
    }

    /// Whether LIKE and regular expressions take it.
    pub fn takes_patterns(&self) -> bool {
        !self.trims && matches!(self.base, Base::Binary | Base::Lowercase)
    }

    pub fn ignores_case(&self) -> bool {
        self.ignores_case
    }

    pub fn ignores_accents(&self) -> bool {
        self.ignores_accents
    }

    pub fn trims(&self) -> bool {
        self.trims
    }

    pub fn locale(&self) -> Option<&'static Locale> {
        match self.base {
            Base::Locale(l) => Some(l),
            _ => None,
        }
    }
}

/// The longest name that the text begins with, up to its end or an underscore.
fn base_of(upper: &str) -> Option<(Base, &str)> {
    let rest = |name: &str| -> Option<usize> {
        let rest = upper.get(name.len()..)?;
        let begins = upper[..name.len()].eq_ignore_ascii_case(name);
        (begins && (rest.is_empty() || rest.starts_with('_'))).then_some(name.len())
    };
    let fixed = [("UTF8_BINARY", Base::Binary), ("UTF8_LCASE", Base::Lowercase)];
    let locales = locales().iter().map(|l| (l.name, Base::Locale(l)));
    let found = fixed.into_iter().chain(locales).filter_map(|(name, base)| Some((rest(name)?, base)));
    found.max_by_key(|(length, _)| *length).map(|(length, base)| (base, &upper[length..]))
}

/// All names, as `SHOW COLLATIONS` lists them.
pub fn all() -> Vec<Collation> {
    let plain = |base, trims| Collation {
        base,
        ignores_case: base == Base::Lowercase,
        ignores_accents: false,
        trims,
    };
    let mut out = vec![
        plain(Base::Binary, false),
        plain(Base::Lowercase, false),
        plain(Base::Binary, true),
        plain(Base::Lowercase, true),
    ];
    for locale in locales() {
        let base = Base::Locale(locale);
        let of =
            |ignores_case, ignores_accents, trims| Collation { base, ignores_case, ignores_accents, trims };
        let mut named: Vec<(String, Collation)> =
            (0..8).map(|n| of(n & 1 != 0, n & 2 != 0, n & 4 != 0)).map(|c| (c.name(), c)).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        out.extend(named.into_iter().map(|(_, c)| c));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_as_in_spark() {
        let name = |n: &str| Collation::of(n).map(|c| c.name());
        for (written, canonical) in [
            ("utf8_binary", "UTF8_BINARY"),
            ("Utf8_Lcase_rtrim", "UTF8_LCASE_RTRIM"),
            ("unicode_cs_as", "UNICODE"),
            ("unicode_ai_ci_rtrim", "UNICODE_CI_AI_RTRIM"),
            ("sr_Cyrl_SRB_AI_CI", "sr_Cyrl_SRB_CI_AI"),
            ("DE", "de"),
            ("system.builtin.unicode_ci", "UNICODE_CI"),
        ] {
            assert_eq!(name(written).as_deref(), Some(canonical));
        }
        for wrong in ["de_at", "unicode_ci_cs", "utf8_binary_ci", "foo", "unicode_ci_ci", ""] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert_eq!(all().len(), 1164);
    }
}
