//! Several statements in one text.

use crate::lexer::{self, Kind, Token};

/// The statements of a text, without the semicolons between them; empty ones are left out.
///
/// Semicolons inside strings, comments and `BEGIN .. END` blocks do not end a statement.
pub fn split_statements(text: &str) -> Vec<String> {
    statement_ranges(text).into_iter().map(|(from, to)| text[from..to].to_string()).collect()
}

/// Byte ranges of the statements of a text.
pub(crate) fn statement_ranges(text: &str) -> Vec<(usize, usize)> {
    let (tokens, _) = lexer::scan(text);
    let mut ranges = Vec::new();
    let mut first: Option<Token> = None;
    let mut last_end = 0;
    let mut blocks = Blocks::default();
    for (index, token) in tokens.iter().enumerate() {
        let ends = token.kind == Kind::End || (token.text == ";" && blocks.depth == 0);
        if ends {
            if let Some(first) = first.take() {
                // What no token covers (an unclosed quote or comment) belongs to the last statement.
                let end = if token.kind == Kind::End { text.trim_end().len() } else { last_end };
                ranges.push((first.start, end));
            }
            blocks = Blocks::default();
            continue;
        }
        blocks.see(&tokens, index, first.is_none());
        first.get_or_insert(*token);
        last_end = token.end;
    }
    ranges
}

/// How deep in `BEGIN .. END` a token stands; counts only in statements that begin as a script does.
#[derive(Default)]
struct Blocks {
    is_script: bool,
    depth: usize,
}

impl Blocks {
    fn see(&mut self, tokens: &[Token], index: usize, is_first: bool) {
        let token = tokens[index];
        let text_at = |i: usize| tokens.get(i).map_or("", |t| t.text);
        if is_first {
            self.is_script =
                token.text == "BEGIN" || (text_at(index + 1) == ":" && text_at(index + 2) == "BEGIN");
        }
        if !self.is_script || token.kind != Kind::Word {
            return;
        }
        match token.text {
            "BEGIN" => self.depth += 1,
            // `END CASE` closes what CASE opened; other loops and conditions are told by their END.
            "CASE" if index == 0 || text_at(index - 1) != "END" => self.depth += 1,
            "END" if !matches!(text_at(index + 1), "IF" | "WHILE" | "LOOP" | "REPEAT" | "FOR") => {
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }
}

/// Whether an interactive prompt may run the text: its last statement is ended by a semicolon, and no quote, comment or
/// block is open. Text without any statement is complete.
pub fn is_complete(text: &str) -> bool {
    let (tokens, unclosed_comment) = lexer::scan(text);
    if unclosed_comment.is_some() {
        return false;
    }
    let mut blocks = Blocks::default();
    let mut is_open = false;
    for (index, token) in tokens.iter().enumerate() {
        if token.kind == Kind::End {
            break;
        }
        if token.text == ";" && blocks.depth == 0 {
            blocks = Blocks::default();
            is_open = false;
            continue;
        }
        blocks.see(&tokens, index, !is_open);
        is_open = true;
    }
    !is_open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let text = "SELECT ';' ; -- a; b\n /* ; */ SELECT 1;;\nSELECT `;`";
        assert_eq!(split_statements(text), ["SELECT ';'", "SELECT 1", "SELECT `;`"]);
        let script = "BEGIN SELECT CASE WHEN a THEN 1 END; IF x THEN SELECT 1; END IF; END; SELECT 2";
        assert_eq!(split_statements(script).len(), 2);
        assert_eq!(split_statements("  ;; "), Vec::<String>::new());
        assert_eq!(split_statements("SELECT 'a; b"), ["SELECT 'a; b"]);
        assert_eq!(split_statements("SELECT ${a}; SELECT $$;$$; SELECT $t$;$t$").len(), 3);
    }

    #[test]
    fn completeness() {
        for (text, complete) in [
            ("SELECT 1;", true),
            ("SELECT 1", false),
            ("SELECT 'a;", false),
            ("SELECT 1; -- more", true),
            ("SELECT 1 /* ;", false),
            ("BEGIN SELECT 1;", false),
            ("BEGIN SELECT 1; END;", true),
            ("", true),
        ] {
            assert_eq!(is_complete(text), complete, "{text}");
        }
    }
}
