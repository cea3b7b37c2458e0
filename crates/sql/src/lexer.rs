//! Text to tokens: Spark's `SqlBaseLexer`.
//!
//! The lexer never fails but for an unclosed comment: a character it does not know becomes a token that no rule
//! accepts, so that the error is a syntax error at that character.

use boathouse_spec::Result;

use crate::error;
use crate::keywords;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare word, keyword or not.
    Word,
    /// `` `name` ``
    BackQuoted,
    /// `'text'`, `r'text'`, `r"text"`
    String,
    /// `"text"`: a string, or an identifier under a setting.
    DoubleQuoted,
    /// `$$text$$`, `$tag$text$tag$`
    DollarQuoted,
    Integer,
    Decimal,
    Exponent,
    /// `1L`
    BigInt,
    /// `1S`
    SmallInt,
    /// `1Y`
    TinyInt,
    /// `1D`
    Double,
    /// `1F`
    Float,
    /// `1BD`
    BigDecimal,
    Symbol,
    Unknown,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub kind: Kind,
    /// The keyword in upper case, or the symbol; empty for all else.
    pub text: &'static str,
    /// Byte offsets; `end` is exclusive.
    pub start: usize,
    pub end: usize,
    /// For an opening bracket the index of the token that closes it; 0 where none does.
    pub pair: usize,
}

/// Longest first among those that share a beginning.
const SYMBOLS: &[&str] = &[
    "/*+", "<=>", ">>>", "*/", "<>", "<=", "<<", ">=", ">>", "!=", "!>", "!<", "==", "||", "|>", "::", "->",
    "=>", ";", "(", ")", ",", ".", "[", "]", "!", "=", "<", ">", "+", "-", "*", "/", "%", "~", "&", "|", "^",
    ":", "?", "@", "{", "}",
];

/// The tokens of a text, the last of kind `End`. Comments and white space are dropped.
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>> {
    let (tokens, unclosed_comment) = scan(text);
    match unclosed_comment {
        Some(start) => Err(error::unclosed_comment(text, start)),
        None => Ok(tokens),
    }
}

/// As [`tokenize`], but an unclosed comment is told by where it starts.
pub(crate) fn scan(text: &str) -> (Vec<Token>, Option<usize>) {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), pos: 0, unclosed_comment: None };
    let mut tokens = Vec::with_capacity(text.len() / 5 + 2);
    let mut open: Vec<usize> = Vec::new();
    while let Some(token) = lexer.next_token() {
        match token.text {
            "(" | "[" if token.kind == Kind::Symbol => open.push(tokens.len()),
            ")" | "]" if token.kind == Kind::Symbol => {
                let wanted = if token.text == ")" { "(" } else { "[" };
                if open.last().is_some_and(|&i: &usize| {
                    let opening: &Token = &tokens[i];
                    opening.text == wanted
                }) && let Some(i) = open.pop()
                {
                    tokens[i].pair = tokens.len();
                }
            }
            _ => {}
        }
        tokens.push(token);
    }
    tokens.push(Token { kind: Kind::End, text: "", start: text.len(), end: text.len(), pair: 0 });
    (tokens, lexer.unclosed_comment)
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
    unclosed_comment: Option<usize>,
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{1c}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

impl Lexer<'_> {
    fn at(&self, offset: usize) -> u8 {
        self.bytes.get(self.pos + offset).copied().unwrap_or(0)
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let rest = &self.text[self.pos..];
            let Some(c) = rest.chars().next() else { return };
            if is_space(c) {
                self.pos += c.len_utf8();
            } else if rest.starts_with("--") {
                self.skip_line_comment();
            } else if rest.starts_with("/*") && self.at(2) != b'+' {
                self.skip_bracketed_comment();
            } else {
                return;
            }
        }
    }

    /// To the end of the line; a backslash before the line break continues the comment.
    fn skip_line_comment(&mut self) {
        while let Some(&b) = self.bytes.get(self.pos) {
            match b {
                b'\\' if self.at(1) == b'\n' => self.pos += 2,
                b'\n' | b'\r' => return,
                _ => self.pos += 1,
            }
        }
    }

    fn skip_bracketed_comment(&mut self) {
        let start = self.pos;
        let mut depth = 0usize;
        while self.pos < self.bytes.len() {
            // A hint's opening inside a comment is text of the comment.
            if self.at(0) == b'/' && self.at(1) == b'*' && (depth == 0 || self.at(2) != b'+') {
                depth += 1;
                self.pos += 2;
            } else if self.at(0) == b'*' && self.at(1) == b'/' {
                depth -= 1;
                self.pos += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.pos += 1;
            }
        }
        self.unclosed_comment.get_or_insert(start);
    }

    fn token(&mut self, kind: Kind, text: &'static str, len: usize) -> Token {
        let start = self.pos;
        self.pos += len;
        Token { kind, text, start, end: self.pos, pair: 0 }
    }

    /// A quote that nothing closes: the last token, so that hostile text is scanned once.
    fn unclosed(&mut self) -> Token {
        let token = self.token(Kind::Unknown, "", 1);
        self.pos = self.bytes.len();
        token
    }

    fn next_token(&mut self) -> Option<Token> {
        self.skip_space_and_comments();
        let rest = &self.text[self.pos..];
        let first = rest.chars().next()?;
        match first {
            '\'' | '"' => {
                let kind = if first == '\'' { Kind::String } else { Kind::DoubleQuoted };
                if let Some(len) = quoted_length(rest.as_bytes(), first as u8) {
                    return Some(self.token(kind, "", len));
                }
                return Some(self.unclosed());
            }
            '`' => {
                if let Some(len) = back_quoted_length(rest.as_bytes()) {
                    return Some(self.token(Kind::BackQuoted, "", len));
                }
                return Some(self.unclosed());
            }
            '$' => {
                let Some(tag) = dollar_tag(rest) else { return Some(self.token(Kind::Unknown, "", 1)) };
                if let Some(len) = dollar_quoted_length(rest, tag) {
                    return Some(self.token(Kind::DollarQuoted, "", len));
                }
                return Some(self.unclosed());
            }
            'r' | 'R' if matches!(self.at(1), b'\'' | b'"') => {
                let quote = self.at(1);
                if let Some(len) = rest.as_bytes()[2..].iter().position(|&b| b == quote) {
                    return Some(self.token(Kind::String, "", len + 3));
                }
            }
            _ => {}
        }
        if first.is_ascii_digit() || (first == '.' && self.at(1).is_ascii_digit()) {
            return Some(self.number());
        }
        if first == '_' || first.is_alphabetic() {
            let len = self.word_length();
            let text = keywords::lookup(&rest[..len]).unwrap_or("");
            return Some(self.token(Kind::Word, text, len));
        }
        for symbol in SYMBOLS {
            if rest.starts_with(symbol) {
                return Some(self.token(Kind::Symbol, canonical(symbol), symbol.len()));
            }
        }
        Some(self.token(Kind::Unknown, "", first.len_utf8()))
    }

    /// Letters, digits and underscores; or a URI such as `s3://bucket/path`.
    fn word_length(&self) -> usize {
        let rest = &self.text[self.pos..];
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        if letters > 0 && rest[letters..].starts_with("://") {
            let path = &rest[letters + 3..];
            let end = path
                .find(|c: char| !(c.is_alphabetic() || c.is_ascii_digit() || "_/-.?=&#%".contains(c)))
                .unwrap_or(path.len());
            if end > 0 {
                return letters + 3 + end;
            }
        }
        rest.find(|c: char| !(c.is_alphabetic() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len())
    }

    /// A number, or a word that starts with digits: whichever is longer.
    fn number(&mut self) -> Token {
        let bytes = &self.bytes[self.pos..];
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let exponent = |from: usize| {
            if !matches!(bytes.get(from), Some(b'e' | b'E')) {
                return 0;
            }
            let sign = usize::from(matches!(bytes.get(from + 1), Some(b'+' | b'-')));
            match digits((from + 1 + sign).min(bytes.len())) {
                0 => 0,
                n => 1 + sign + n,
            }
        };
        let whole = digits(0);
        let mut best = (Kind::Integer, whole);
        let mut consider = |kind: Kind, len: usize| {
            if len > best.1 {
                best = (kind, len);
            }
        };
        let suffixes: [(&[u8], Kind); 6] = [
            (b"L", Kind::BigInt),
            (b"S", Kind::SmallInt),
            (b"Y", Kind::TinyInt),
            (b"F", Kind::Float),
            (b"D", Kind::Double),
            (b"BD", Kind::BigDecimal),
        ];
        let has = |from: usize, suffix: &[u8]| {
            bytes.len() >= from + suffix.len()
                && bytes[from..from + suffix.len()].eq_ignore_ascii_case(suffix)
        };
        // Digits with or without an exponent; these may be followed by anything, the longest wins.
        if whole > 0 {
            let exp = exponent(whole);
            if exp > 0 {
                consider(Kind::Exponent, whole + exp);
            }
            for (suffix, kind) in suffixes {
                let integral = matches!(kind, Kind::BigInt | Kind::SmallInt | Kind::TinyInt);
                for from in [whole, whole + exp] {
                    if has(from, suffix) && (from == whole || !integral) {
                        consider(kind, from + suffix.len());
                    }
                }
            }
        }
        // Digits with a point; these must not run into a word.
        let ends_well = |len: usize| !bytes.get(len).copied().is_some_and(is_word_byte);
        if bytes.get(whole) == Some(&b'.') {
            let fraction = digits(whole + 1);
            if whole + fraction > 0 {
                let point = whole + 1 + fraction;
                if ends_well(point) {
                    consider(Kind::Decimal, point);
                }
                let exp = exponent(point);
                if exp > 0 && ends_well(point + exp) {
                    consider(Kind::Exponent, point + exp);
                }
                for (suffix, kind) in &suffixes[3..] {
                    for from in [point, point + exp] {
                        if has(from, suffix) && ends_well(from + suffix.len()) {
                            consider(*kind, from + suffix.len());
                        }
                    }
                }
            }
        }
        let word = if whole > 0 { self.word_length() } else { 0 };
        if word > best.1 {
            return self.token(Kind::Word, "", word);
        }
        if best.1 == 0 {
            return self.token(Kind::Symbol, ".", 1);
        }
        self.token(best.0, "", best.1)
    }
}

/// Symbols that mean the same have one spelling.
fn canonical(symbol: &'static str) -> &'static str {
    match symbol {
        "==" => "=",
        "!>" => "<=",
        "!<" => ">=",
        other => other,
    }
}

/// The length of a quoted string with its quotes: a backslash escapes, a doubled quote is a quote.
fn quoted_length(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b if b == quote => {
                if bytes.get(i + 1) == Some(&quote) {
                    i += 2;
                } else {
                    return Some(i + 1);
                }
            }
            _ => i += 1,
        }
    }
    None
}

fn back_quoted_length(bytes: &[u8]) -> Option<usize> {
    let mut i = 1;
    while i < bytes.len() {
        if bytes[i] == b'`' {
            if bytes.get(i + 1) != Some(&b'`') {
                return Some(i + 1);
            }
            i += 1;
        }
        i += 1;
    }
    None
}

fn dollar_quoted_length(rest: &str, tag: &str) -> Option<usize> {
    rest[tag.len()..].find(tag).map(|i| i + 2 * tag.len())
}

/// The `$tag$` that opens such a string; `None` for a dollar that opens none, as in `${variable}`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let word = rest[1..].bytes().take_while(|b| is_word_byte(*b)).count();
    (rest.as_bytes().get(1 + word) == Some(&b'$')).then(|| &rest[..word + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        let (tokens, _) = scan(text);
        tokens.iter().filter(|t| t.kind != Kind::End).map(|t| (t.kind, &text[t.start..t.end])).collect()
    }

    #[test]
    fn numbers_and_words() {
        use Kind::*;
        assert_eq!(
            kinds("1 1L 1.5 .5 1. 1e5 1E-2 1D 1bd 1.5F"),
            [
                (Integer, "1"),
                (BigInt, "1L"),
                (Decimal, "1.5"),
                (Decimal, ".5"),
                (Decimal, "1."),
                (Exponent, "1e5"),
                (Exponent, "1E-2"),
                (Double, "1D"),
                (BigDecimal, "1bd"),
                (Float, "1.5F"),
            ]
        );
        assert_eq!(kinds("1a"), [(Word, "1a")]);
        assert_eq!(kinds("1.a"), [(Integer, "1"), (Symbol, "."), (Word, "a")]);
        assert_eq!(kinds("t.1st"), [(Word, "t"), (Symbol, "."), (Word, "1st")]);
        assert_eq!(kinds("1..2"), [(Decimal, "1."), (Decimal, ".2")]);
        assert_eq!(kinds("1E5L"), [(Word, "1E5L")]);
    }

    #[test]
    fn strings() {
        use Kind::*;
        assert_eq!(
            kinds(r"'it''s' 'a\'b' r'\' 'c"),
            [(String, "'it''s'"), (String, r"'a\'b'"), (String, r"r'\'"), (Unknown, "'"),]
        );
        assert_eq!(kinds("$$a $ b$$ `a``b`"), [(DollarQuoted, "$$a $ b$$"), (BackQuoted, "`a``b`")]);
    }

    #[test]
    fn comments() {
        assert_eq!(kinds("a -- x\n/* b /* c */ d */ e"), [(Kind::Word, "a"), (Kind::Word, "e")]);
        assert_eq!(scan("a /* b").1, Some(2));
        assert_eq!(kinds("/*+ x */").len(), 3);
    }

    #[test]
    fn brackets_are_paired() {
        let (tokens, _) = scan("f((a), b[1])");
        assert_eq!(tokens[1].pair, 10);
        assert_eq!(tokens[2].pair, 4);
        assert_eq!(tokens[7].pair, 9);
    }
}
