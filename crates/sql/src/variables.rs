//! `${name}` in SQL text: Spark's variable substitution, done before anything is parsed.

/// The prefixes a variable's name may have; they say no more than where Hive looked for it.
const PREFIXES: &[&str] = &["sparkconf:", "hiveconf:", "hivevar:", "spark:", "env:", "system:"];

/// Nested values are substituted this deep.
const MOST_ROUNDS: usize = 40;

/// Replaces each `${name}` by its value (`spark.sql.variable.substitute`); names without a value stay as they are.
///
/// `lookup` gets the name without its prefix, and the prefix without its colon where there is one.
pub fn substitute_variables(text: &str, lookup: impl Fn(Option<&str>, &str) -> Option<String>) -> String {
    let mut text = text.to_string();
    for _ in 0..MOST_ROUNDS {
        match substitute_once(&text, &lookup) {
            Some(next) => text = next,
            None => break,
        }
    }
    text
}

/// One pass; nothing where nothing changed.
fn substitute_once(text: &str, lookup: &impl Fn(Option<&str>, &str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(begin) = rest.find("${") {
        let Some(length) = rest[begin..].find('}') else { break };
        let name = &rest[begin + 2..begin + length];
        let (prefix, bare) = match PREFIXES.iter().find(|p| name.starts_with(**p)) {
            Some(prefix) => (Some(&prefix[..prefix.len() - 1]), &name[prefix.len()..]),
            None => (None, name),
        };
        out.push_str(&rest[..begin]);
        match lookup(prefix, bare) {
            Some(value) => {
                changed = true;
                out.push_str(&value);
            }
            None => out.push_str(&rest[begin..=begin + length]),
        }
        rest = &rest[begin + length + 1..];
    }
    out.push_str(rest);
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutes() {
        let lookup = |_: Option<&str>, name: &str| match name {
            "a" => Some("x".to_string()),
            "b" => Some("${a}${a}".to_string()),
            _ => None,
        };
        assert_eq!(substitute_variables("1 ${a} ${hiveconf:b} ${c} ${", lookup), "1 x xx ${c} ${");
        let endless = |_: Option<&str>, _: &str| Some("${a}".to_string());
        assert_eq!(substitute_variables("${a}", endless), "${a}");
    }
}
