//! Which columns the text of an expression names, without knowing their types.

/// Whether the text names a column or something inside of it, so that it changes with the column's name
/// (`SchemaUtils.containsDependentExpression`): `s.a > 0` names `s` and `s.a`, `s IS NOT NULL` does not name `s.a`.
pub(crate) fn mentions(sql: &str, column: &[String]) -> bool {
    let starts_with_it = |path: &Vec<String>| {
        path.len() >= column.len()
            && column.iter().zip(path).all(|(a, b)| a.to_lowercase() == b.to_lowercase())
    };
    !column.is_empty() && paths(sql).iter().any(starts_with_it)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The names in a text with their parts; words of the language are among them, what is between quotes is not.
fn paths(sql: &str) -> Vec<Vec<String>> {
    let mut out: Vec<Vec<String>> = Vec::new();
    let mut rest = sql.chars().peekable();
    let mut goes_on = false;
    while let Some(c) = rest.next() {
        let name = match c {
            '`' => quoted(&mut rest),
            '\'' | '"' => {
                skip_text(&mut rest, c);
                goes_on = false;
                continue;
            }
            c if is_of_name(c) => {
                let mut name = String::from(c);
                while let Some(c) = rest.next_if(|c| is_of_name(*c)) {
                    name.push(c);
                }
                name
            }
            '.' => {
                goes_on = true;
                continue;
            }
            c => {
                goes_on &= c.is_whitespace();
                continue;
            }
        };
        match out.last_mut().filter(|_| goes_on) {
            Some(path) => path.push(name),
            None => out.push(vec![name]),
        }
        goes_on = false;
    }
    out
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A name in backticks, after the first of them; two stand for one.
fn quoted(rest: &mut Chars<'_>) -> String {
    let mut name = String::new();
    while let Some(c) = rest.next() {
        if c == '`' && rest.next_if_eq(&'`').is_none() {
            break;
        }
        name.push(c);
    }
    name
}

fn skip_text(rest: &mut Chars<'_>, quote: char) {
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            c if c == quote => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str, column: &[&str]) -> bool {
        mentions(sql, &column.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn names_in_texts() {
        assert!(names("id > 0", &["ID"]));
        assert!(names("`Id No` > 0 AND s.b = 1", &["id no"]));
        assert!(names("lower(v) <> 'it\\'s' AND k > 1", &["k"]));
        assert!(!names("`Id No` > 0", &["id"]));
        assert!(!names("v <> 'id' AND v <> \"no\"", &["id"]));
        assert!(!names("ident > 0", &["id"]));
        assert!(!names("`open", &["id"]));
    }

    #[test]
    fn fields_in_texts() {
        assert!(names("s.`a``b` = 1", &["s", "a`b"]));
        assert!(names("t > 1 AND s . a.c > 0", &["s", "a"]));
        assert!(names("s.a > 0", &["s"]));
        assert!(!names("s.a > 0", &["a"]));
        assert!(!names("s.a > 0", &["s", "b"]));
        assert!(!names("s IS NOT NULL", &["s", "a"]));
    }
}
