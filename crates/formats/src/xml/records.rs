//! The records of an XML text: the elements of one name.

/// The elements `<row_tag ..>..</row_tag>` of a text, wherever they are; those inside another belong to it.
pub fn records<'a>(text: &'a str, row_tag: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut at = 0;
    let (mut begun, mut depth) = (0, 0usize);
    while let Some(next) = text[at..].find('<').map(|i| at + i) {
        let rest = &text[next..];
        if let Some(end) = skipped(rest) {
            at = next + end;
            continue;
        }
        let Some(length) = tag_length(rest) else { break };
        let tag = &rest[..length];
        let end = next + length;
        at = end;
        if let Some(name) = tag.strip_prefix("</") {
            if depth > 0 && name.trim_end_matches('>').trim() == row_tag {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[begun..end]);
                }
            }
            continue;
        }
        let name =
            tag[1..].split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or_default();
        if name != row_tag {
            continue;
        }
        let is_empty = tag.ends_with("/>");
        match (depth, is_empty) {
            (0, true) => found.push(tag),
            (0, false) => {
                begun = next;
                depth = 1;
            }
            (_, true) => {}
            (_, false) => depth += 1,
        }
    }
    found
}

/// The length of what is no tag: a comment, CDATA, an instruction.
fn skipped(text: &str) -> Option<usize> {
    let until = |open: &str, close: &str| {
        text.strip_prefix(open)
            .map(|rest| rest.find(close).map_or(text.len(), |i| open.len() + i + close.len()))
    };
    until("<!--", "-->").or_else(|| until("<![CDATA[", "]]>")).or_else(|| until("<?", "?>"))
}

/// The length of a tag, its quoted values minded.
fn tag_length(text: &str) -> Option<usize> {
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(i + 1),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_a_name() {
        let text = "<?xml version='1.0'?><rows><!-- <r>no</r> --><r a='>'>1</r><r/><x><r><r>2</r></r></x><rr>3</rr></rows>";
        assert_eq!(records(text, "r"), ["<r a='>'>1</r>", "<r/>", "<r><r>2</r></r>"]);
        assert!(records("<r>unfinished", "r").is_empty());
    }
}
