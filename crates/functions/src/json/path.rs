//! The paths of `get_json_object`: `$`, `.name`, `['name']`, `[3]`, `[*]`, and `.*` (which no object answers).

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field of an object.
    Field(String),
    /// An element of an array, from 0.
    Element(u64),
    /// Every element of an array.
    Elements,
    /// Hive's wildcard over fields: understood, but without any match.
    Fields,
}

/// Reads a path; `None` where it is none.
pub(super) fn parse(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = step(rest)?;
        steps.push(step);
        rest = after;
    }
    Some(steps)
}

fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix("['*']") {
        return Some((Step::Fields, rest));
    }
    if let Some(rest) = text.strip_prefix("['") {
        let end = rest.find(['\'', '?'])?;
        let after = rest.get(end..)?.strip_prefix("']")?;
        return (end > 0).then(|| (Step::Field(rest[..end].to_string()), after));
    }
    if let Some(rest) = text.strip_prefix("[*]") {
        return Some((Step::Elements, rest));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (digits, after) = rest.split_once(']')?;
        let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        return Some((Step::Element(number.then(|| digits.parse().ok())??), after));
    }
    let rest = text.strip_prefix('.')?;
    if let Some(after) = rest.strip_prefix('*') {
        return Some((Step::Fields, after));
    }
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    (end > 0).then(|| (Step::Field(rest[..end].to_string()), &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let field = |name: &str| Step::Field(name.into());
        assert_eq!(parse("$"), Some(vec![]));
        assert_eq!(
            parse("$.a b['c.d'][2][*]"),
            Some(vec![field("a b"), field("c.d"), Step::Element(2), Step::Elements])
        );
        assert_eq!(parse("$.*"), Some(vec![Step::Fields]));
        for bad in ["", "a", "$.", "$..a", "$[\"a\"]", "$[-1]", "$[0", "$ .a", "$a"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
