//! The paths of `variant_get`: `$`, `.name`, `['name']`, `["name"]`, `[3]`.

use boathouse_formats::variant::Variant;
use boathouse_spec::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Element(usize),
}

/// Reads a path, or fails with INVALID_VARIANT_GET_PATH.
pub(super) fn parse(path: &str, function: &str) -> Result<Vec<Step>> {
    steps(path).ok_or_else(|| {
        Error::new("INVALID_VARIANT_GET_PATH")
            .param("path", path)
            .param("functionName", format!("`{function}`"))
            .message(format!(
                "`{path}` is no path for `{function}`: it starts with `$`, and goes on with `[0]`, `.name` or `['name']`."
            ))
    })
}

fn steps(path: &str) -> Option<Vec<Step>> {
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
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix('[').and_then(|t| t.strip_prefix(quote)) {
            let end = rest.find([quote, '?'])?;
            let after = rest.get(end..)?.strip_prefix(quote)?.strip_prefix(']')?;
            return (end > 0).then(|| (Step::Field(rest[..end].to_string()), after));
        }
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (digits, after) = rest.split_once(']')?;
        let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        return Some((Step::Element(number.then(|| digits.parse().ok())??), after));
    }
    let rest = text.strip_prefix('.')?;
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    (end > 0).then(|| (Step::Field(rest[..end].to_string()), &rest[end..]))
}

/// Follows the steps; `None` where there is nothing.
pub(super) fn follow<'a>(variant: Variant<'a>, steps: &[Step]) -> Result<Option<Variant<'a>>> {
    let mut at = variant;
    for step in steps {
        let next = match step {
            Step::Field(name) => at.field(name)?,
            Step::Element(i) => at.element(*i)?,
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let field = |name: &str| Step::Field(name.into());
        assert_eq!(parse("$", "f").ok(), Some(vec![]));
        assert_eq!(
            parse("$.a['b.c'][\"d\"][2]", "f").ok(),
            Some(vec![field("a"), field("b.c"), field("d"), Step::Element(2)])
        );
        for bad in ["", "a", "$a", "$.", "$[-1]", "$['']", "$[*]", "$[\"a']"] {
            assert!(parse(bad, "f").is_err(), "{bad}");
        }
    }
}
