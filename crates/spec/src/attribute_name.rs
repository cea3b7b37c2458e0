//! Names of columns that clients write as one string.

use crate::{Error, Name, Result};

/// Splits the name of a column (`a.b`, `` `a.b`.c ``), as `col("...")` reads it: dots separate, backticks quote a whole
/// part, and all other characters, blanks and operators too, stand for themselves.
pub fn parse_attribute_name(text: &str) -> Result<Name> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    let mut previous = None;
    while let Some(c) = chars.next() {
        if quoted {
            match c {
                '`' if chars.peek() == Some(&'`') => {
                    chars.next();
                    part.push('`');
                }
                '`' => {
                    quoted = false;
                    if chars.peek().is_some_and(|next| *next != '.') {
                        return Err(malformed(text));
                    }
                }
                other => part.push(other),
            }
        } else {
            match c {
                '`' if part.is_empty() => quoted = true,
                '`' => return Err(malformed(text)),
                '.' if previous.is_none() || previous == Some('.') || chars.peek().is_none() => {
                    return Err(malformed(text));
                }
                '.' => parts.push(std::mem::take(&mut part)),
                other => part.push(other),
            }
        }
        previous = Some(c);
    }
    if quoted {
        return Err(malformed(text));
    }
    parts.push(part);
    Ok(parts)
}

/// Splits the name of each column of a list.
pub fn parse_attribute_names(texts: &[String]) -> Result<Vec<Name>> {
    texts.iter().map(|text| parse_attribute_name(text)).collect()
}

fn malformed(text: &str) -> Error {
    Error::new("INVALID_ATTRIBUTE_NAME_SYNTAX").param("name", text).exception("AnalysisException").message(
        format!(
            "The column name {text} is malformed: backticks come in pairs and quote one whole part of a name."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sparks() {
        let good = [
            ("a", vec!["a"]),
            ("a.b", vec!["a", "b"]),
            ("`a.b`.c", vec!["a.b", "c"]),
            ("count(1)", vec!["count(1)"]),
            ("a b-c", vec!["a b-c"]),
            ("`a``b`", vec!["a`b"]),
            ("", vec![""]),
        ];
        for (text, parts) in good {
            assert_eq!(
                parse_attribute_name(text).ok(),
                Some(parts.into_iter().map(String::from).collect()),
                "{text}"
            );
        }
        for bad in ["a..b", "a.", ".a", "a`b`", "`a", "`a`b"] {
            assert!(parse_attribute_name(bad).is_err_and(|e| e.is("INVALID_ATTRIBUTE_NAME_SYNTAX")), "{bad}");
        }
    }
}
