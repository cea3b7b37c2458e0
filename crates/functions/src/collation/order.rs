//! Comparing strings in a collation: by keys, which are equal where the strings are and compare as they do.
//!
//! `UNICODE` and the languages follow the Unicode collation algorithm in its outline: base characters first (blanks,
//! punctuation, symbols, digits, letters), then accents, then case. The finer order within symbols and foreign scripts is that
//! of code points, and languages have no order of their own (`docs/limitations.md`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use boathouse_spec::Result;
use icu_normalizer::DecomposingNormalizer;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use parking_lot::RwLock;

use super::name::{Base, Collation};

/// A collation at work.
pub struct Collator {
    pub collation: Collation,
}

static COLLATORS: LazyLock<RwLock<HashMap<String, Arc<Collator>>>> = LazyLock::new(RwLock::default);

/// The collator of a name that is known to be one.
pub fn collator(name: &str) -> Result<Arc<Collator>> {
    if let Some(found) = COLLATORS.read().get(name) {
        return Ok(Arc::clone(found));
    }
    let collation = Collation::of(name).ok_or_else(|| super::invalid_name(name))?;
    let collator = Arc::new(Collator { collation });
    COLLATORS.write().insert(name.to_string(), Arc::clone(&collator));
    Ok(collator)
}

impl Collator {
    /// What compares, byte by byte, as the text does.
    pub fn key<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        self.bare_key(self.trimmed(text))
    }

    pub fn equal(&self, a: &str, b: &str) -> bool {
        self.key(a) == self.key(b)
    }

    /// Without the blanks at the end that the collation does not count.
    pub fn trimmed<'a>(&self, text: &'a str) -> &'a str {
        if self.collation.trims { text.trim_end_matches(' ') } else { text }
    }

    /// The first place from byte `from` on where the part is in the text: begin and end.
    pub fn find(&self, text: &str, part: &str, from: usize) -> Option<(usize, usize)> {
        if part.is_empty() {
            return Some((from, from));
        }
        text.get(from..)?.char_indices().find_map(|(i, _)| {
            let begin = from + i;
            self.match_at(text, part, begin).map(|end| (begin, end))
        })
    }

    /// The last place of the part that ends at or before byte `until`.
    pub fn find_last(&self, text: &str, part: &str, until: usize) -> Option<(usize, usize)> {
        let head = text.get(..until)?;
        head.char_indices()
            .rev()
            .find_map(|(begin, _)| self.match_at(head, part, begin).map(|end| (begin, end)))
    }

    /// All places of the part, one after the other.
    pub fn all(&self, text: &str, part: &str) -> Vec<(usize, usize)> {
        let mut out: Vec<(usize, usize)> = Vec::new();
        while let Some((begin, end)) = self.find(text, part, out.last().map_or(0, |l| l.1)) {
            if end == begin {
                break;
            }
            out.push((begin, end));
        }
        out
    }

    pub fn ends_with(&self, text: &str, part: &str) -> bool {
        let text = self.trimmed(text);
        let part = self.trimmed(part);
        let wanted = self.bare_key(part);
        text.char_indices().any(|(i, _)| self.bare_key(&text[i..]) == wanted)
    }

    /// The end of the part where the text has it at byte `begin`.
    pub fn match_at(&self, text: &str, part: &str, begin: usize) -> Option<usize> {
        let rest = text.get(begin..)?;
        let wanted = self.bare_key(part);
        let ends = rest.char_indices().map(|(i, _)| i).skip(1).chain(std::iter::once(rest.len()));
        let mut found = None;
        for end in ends.filter(|e| *e > 0) {
            let key = self.bare_key(&rest[..end]);
            if key == wanted {
                // Marks that follow belong to the match where they do not count.
                found = Some(begin + end);
                if !self.collation.ignores_accents {
                    break;
                }
            } else if found.is_some() || end > part.len() * 4 + 16 {
                break;
            }
        }
        found
    }

    /// The key without trimming: inside a text blanks count.
    fn bare_key<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        match self.collation.base {
            Base::Binary => Cow::Borrowed(text.as_bytes()),
            Base::Lowercase => Cow::Owned(lowered(text).into_bytes()),
            Base::Locale(_) => Cow::Owned(unicode_key(text, &self.collation)),
        }
    }
}

/// Lower case, code point by code point; the final sigma is a sigma.
pub fn lowered(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ς' => out.push('σ'),
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// The levels of a text: what its base characters are, their accents, their case.
fn unicode_key(text: &str, collation: &Collation) -> Vec<u8> {
    static CATEGORIES: LazyLock<icu_properties::CodePointMapDataBorrowed<'static, GeneralCategory>> =
        LazyLock::new(CodePointMapData::<GeneralCategory>::new);
    let decomposed = DecomposingNormalizer::new_nfkd().normalize(text);
    let (mut bases, mut accents, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    for c in decomposed.chars() {
        use GeneralCategory as G;
        let category = CATEGORIES.get(c);
        match category {
            G::NonspacingMark | G::EnclosingMark | G::SpacingMark => accents.extend((c as u32).to_be_bytes()),
            // Controls do not count.
            G::Control if !c.is_whitespace() => {}
            G::Format | G::Surrogate => {}
            _ => {
                for (base, accent, is_upper) in base_characters(c) {
                    bases.push(class(c, category));
                    bases.extend(&weight(base).to_be_bytes()[1..]);
                    // Accents stand behind the character they belong to.
                    accents.extend([0, 0, 0, 1, accent]);
                    cases.push(1 + u8::from(is_upper));
                }
            }
        }
    }
    // Nothing that counts is the empty string, which is less than all others.
    if bases.is_empty() && accents.is_empty() {
        return Vec::new();
    }
    let mut key = bases;
    let mut level = |wanted: bool, bytes: Vec<u8>| {
        if wanted {
            key.push(0);
            key.extend(bytes);
        }
    };
    level(!collation.ignores_accents, accents);
    level(!collation.ignores_case, cases);
    key
}

/// The order of kinds of characters.
fn class(c: char, category: GeneralCategory) -> u8 {
    use GeneralCategory as G;
    match category {
        _ if c.is_whitespace() => 1,
        G::ConnectorPunctuation => 2,
        G::DashPunctuation => 3,
        G::OtherPunctuation => 4,
        G::OpenPunctuation | G::ClosePunctuation | G::InitialPunctuation | G::FinalPunctuation => 5,
        G::ModifierSymbol => 6,
        G::MathSymbol | G::OtherSymbol => 7,
        G::CurrencySymbol => 8,
        G::DecimalNumber | G::LetterNumber | G::OtherNumber => 9,
        _ => 10,
    }
}

/// The letters of a character in lower case: ligatures are two, letters with a stroke one with an accent.
fn base_characters(c: char) -> Vec<(char, u8, bool)> {
    let is_upper = c.is_uppercase();
    let lower = c.to_lowercase().next().unwrap_or(c);
    match lower {
        'ß' => vec![('s', 1, is_upper), ('s', 1, is_upper)],
        'æ' => vec![('a', 1, is_upper), ('e', 1, is_upper)],
        'œ' => vec![('o', 1, is_upper), ('e', 1, is_upper)],
        'þ' => vec![('t', 1, is_upper), ('h', 1, is_upper)],
        'ø' => vec![('o', 2, is_upper)],
        'đ' => vec![('d', 2, is_upper)],
        'ł' => vec![('l', 2, is_upper)],
        'ħ' => vec![('h', 2, is_upper)],
        'ς' => vec![('σ', 1, false)],
        other => vec![(other, 0, is_upper)],
    }
}

/// Digits of all scripts by their value.
fn weight(c: char) -> u32 {
    c.to_digit(10).map_or(c as u32, |d| d + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_equal_as_in_spark() {
        let equal = |name: &str, a: &str, b: &str| collator(name).unwrap().equal(a, b);
        assert!(equal("UTF8_LCASE", "Spark", "sPARK"));
        assert!(!equal("UTF8_LCASE", "å", "a\u{30a}"));
        assert!(equal("UNICODE", "å", "a\u{30a}"));
        assert!(!equal("UNICODE", "a", "A"));
        assert!(equal("UNICODE_CI", "a", "A"));
        assert!(!equal("UNICODE_CI", "a", "å"));
        assert!(equal("UNICODE_AI", "a", "å"));
        assert!(!equal("UNICODE_AI", "a", "Å"));
        assert!(equal("UNICODE_CI_AI", "a", "Å"));
        assert!(equal("sr_CI_AI", "ć", "Č"));
        assert!(equal("UTF8_BINARY_RTRIM", "a  ", "a"));
    }

    #[test]
    fn parts_are_found() {
        let find = |name: &str, text: &str, part: &str| collator(name).unwrap().find(text, part, 0);
        assert_eq!(find("UTF8_LCASE", "Spark", "PA"), Some((1, 3)));
        assert_eq!(find("UNICODE_CI", "xÅb", "å"), Some((1, 3)));
        assert_eq!(find("UNICODE", "Spark", "PA"), None);
    }
}
