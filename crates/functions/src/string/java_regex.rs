//! Java's regular expressions on `fancy-regex`.
//!
//! The syntaxes are close; where they differ the pattern is rewritten: `\d \w \s` and `(?i)` know ASCII only, `.` stops
//! at every line terminator, `$` also matches before a last one, `\Q..\E`, `\h`, `\R`, and Java's names of character
//! classes.

use fancy_regex::{Captures, Regex, RegexBuilder};

/// A compiled pattern.
#[derive(Debug)]
pub struct JavaRegex {
    /// Takes `$` as the very end of the text: right unless the text ends with a line terminator.
    plain: Regex,
    /// Where the pattern has a `$` or `\Z`: the one that is always right, and slower.
    exact: Option<Regex>,
}

const TERMINATOR: &str = r"(?:\r\n|[\n\r\u{85}\u{2028}\u{2029}])";

impl JavaRegex {
    /// `None` where Java (or we) know no such pattern.
    pub fn new(pattern: &str) -> Option<Self> {
        let compile = |text: &str| RegexBuilder::new(text).backtrack_limit(10_000_000).build().ok();
        let plain = rewrite(pattern, r"\z")?;
        let at_end = format!(r"(?={TERMINATOR}?\z)");
        let exact = rewrite(pattern, &at_end)?;
        let exact = if exact == plain { None } else { Some(compile(&exact)?) };
        Some(Self { plain: compile(&plain)?, exact })
    }

    fn for_text(&self, text: &str) -> &Regex {
        match &self.exact {
            Some(exact) if text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) => exact,
            _ => &self.plain,
        }
    }

    /// Whether it is the empty pattern.
    pub fn is_empty(&self) -> bool {
        self.plain.as_str().is_empty()
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.for_text(text).is_match(text).unwrap_or(false)
    }

    /// Groups of the pattern, the whole match not counted.
    pub fn groups(&self) -> usize {
        self.plain.captures_len().saturating_sub(1)
    }

    /// The number of a named group.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.plain.capture_names().position(|n| n == Some(name))
    }

    /// The first match from a byte on, as Java's `find`.
    pub fn captures_at<'t>(&self, text: &'t str, at: usize) -> Option<Captures<'t>> {
        self.for_text(text).captures_from_pos(text, at).ok().flatten()
    }

    /// The place of the first match from a byte on.
    pub fn find_at(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        self.for_text(text).find_from_pos(text, at).ok().flatten().map(|m| (m.start(), m.end()))
    }

    /// Calls `f` with each match; `f` gives false to stop.
    pub fn each<'t>(&self, text: &'t str, mut f: impl FnMut(&Captures<'t>) -> bool) {
        let mut at = 0;
        while at <= text.len() {
            let Some(captures) = self.captures_at(text, at) else { return };
            let Some(whole) = captures.get(0) else { return };
            let (start, end) = (whole.start(), whole.end());
            if !f(&captures) {
                return;
            }
            at = next(text, start, end);
        }
    }

    /// [`JavaRegex::each`] without the groups.
    pub fn each_span(&self, text: &str, mut f: impl FnMut(usize, usize) -> bool) {
        let mut at = 0;
        while at <= text.len() {
            let Some((start, end)) = self.find_at(text, at) else { return };
            if !f(start, end) {
                return;
            }
            at = next(text, start, end);
        }
    }
}

/// Where the next search starts: after an empty match one character on.
fn next(text: &str, start: usize, end: usize) -> usize {
    if end > start {
        return end;
    }
    end + text[end..].chars().next().map_or(1, char::len_utf8)
}

/// A literal as a pattern (`Pattern.quote`).
pub fn escape(text: &str) -> String {
    fancy_regex::escape(text).into_owned()
}

struct Rewriter<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    /// What `$` becomes.
    end: &'a str,
    /// Flags in force in each open group: dot-all, multi-line, Unicode classes, comments.
    flags: Vec<Flags>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    dot_all: bool,
    multi_line: bool,
    unicode: bool,
    comments: bool,
    unix_lines: bool,
}

fn rewrite(pattern: &str, end: &str) -> Option<String> {
    let mut r = Rewriter {
        chars: pattern.chars().peekable(),
        out: String::new(),
        end,
        flags: vec![Flags::default()],
    };
    r.run()?;
    Some(r.out)
}

impl Rewriter<'_> {
    fn flags(&self) -> Flags {
        self.flags.last().copied().unwrap_or_default()
    }

    fn run(&mut self) -> Option<()> {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    if self.flags.len() > 1 {
                        self.flags.pop();
                    }
                    self.out.push(')');
                }
                '.' => {
                    let flags = self.flags();
                    self.out.push_str(match (flags.dot_all, flags.unix_lines) {
                        (true, _) => "(?s:.)",
                        (false, true) => r"[^\n]",
                        (false, false) => r"[^\n\r\u{85}\u{2028}\u{2029}]",
                    });
                }
                '^' if self.flags().multi_line => self.out.push_str("(?m:^)"),
                '$' if self.flags().multi_line => self.out.push_str(r"(?=[\n\r\u{85}\u{2028}\u{2029}]|\z)"),
                '$' => self.out.push_str(self.end),
                '#' if self.flags().comments => {
                    for c in self.chars.by_ref() {
                        if c == '\n' {
                            break;
                        }
                    }
                }
                c if self.flags().comments && c.is_ascii_whitespace() => {}
                // A closing bracket or brace without an opening one is itself.
                ']' => self.out.push_str(r"\]"),
                '}' => self.out.push_str(r"\}"),
                '{' => self.repetition()?,
                c => self.out.push(c),
            }
        }
        Some(())
    }

    /// `{n}`, `{n,}`, `{n,m}`; anything else is an error in Java.
    fn repetition(&mut self) -> Option<()> {
        let mut text = String::from("{");
        loop {
            let c = self.chars.next()?;
            text.push(c);
            match c {
                '}' => break,
                '0'..='9' | ',' => {}
                _ => return None,
            }
        }
        if text.starts_with("{,") || text == "{}" {
            return None;
        }
        self.out.push_str(&text);
        Some(())
    }

    fn group(&mut self) -> Option<()> {
        let flags = self.flags();
        self.out.push('(');
        if self.chars.peek() != Some(&'?') {
            self.flags.push(flags);
            return Some(());
        }
        self.chars.next();
        match self.chars.peek()? {
            // Look-around, atomic and plain groups.
            ':' | '=' | '!' | '>' => {
                self.out.push('?');
                self.out.push(self.chars.next()?);
                self.flags.push(flags);
            }
            '<' => {
                self.chars.next();
                match self.chars.peek()? {
                    '=' | '!' => {
                        self.out.push_str("?<");
                        self.out.push(self.chars.next()?);
                    }
                    _ => self.out.push_str("?<"),
                }
                self.flags.push(flags);
            }
            _ => {
                let (mut on, mut changed) = (true, flags);
                let (mut kept_on, mut kept_off) = (String::new(), String::new());
                loop {
                    let c = self.chars.next()?;
                    match c {
                        '-' => on = false,
                        's' => changed.dot_all = on,
                        'm' => changed.multi_line = on,
                        'x' => changed.comments = on,
                        'd' => changed.unix_lines = on,
                        'U' => changed.unicode = on,
                        'u' => {}
                        'i' if on => kept_on.push('i'),
                        'i' => kept_off.push('i'),
                        ')' | ':' => {
                            // Only the case matters below: the other flags are rewritten here.
                            let text = match (kept_on.is_empty(), kept_off.is_empty()) {
                                (true, true) => String::new(),
                                (false, true) => "i".into(),
                                _ => "-i".into(),
                            };
                            if c == ':' {
                                self.out.push_str(&format!("?{text}:"));
                                self.flags.push(changed);
                            } else if text.is_empty() {
                                self.out.pop();
                                *self.flags.last_mut()? = changed;
                            } else {
                                self.out.push_str(&format!("?{text})"));
                                *self.flags.last_mut()? = changed;
                            }
                            return Some(());
                        }
                        _ => return None,
                    }
                }
            }
        }
        Some(())
    }

    /// After a backslash.
    fn escape(&mut self, in_class: bool) -> Option<()> {
        let unicode = self.flags().unicode;
        let c = self.chars.next()?;
        let wrap = |text: &str| if in_class { text.to_string() } else { format!("[{text}]") };
        let text = match c {
            'd' if !unicode => wrap("0-9"),
            'w' if !unicode => wrap("0-9A-Za-z_"),
            's' if !unicode => wrap(r"\t\n\x0B\x0C\r "),
            'D' if !unicode => "[^0-9]".into(),
            'W' if !unicode => "[^0-9A-Za-z_]".into(),
            'S' if !unicode => r"[^\t\n\x0B\x0C\r ]".into(),
            'h' => wrap(r" \t\u{A0}\u{1680}\u{180E}\u{2000}-\u{200A}\u{202F}\u{205F}\u{3000}"),
            'H' => r"[^ \t\u{A0}\u{1680}\u{180E}\u{2000}-\u{200A}\u{202F}\u{205F}\u{3000}]".into(),
            'v' => wrap(r"\n\x0B\x0C\r\u{85}\u{2028}\u{2029}"),
            'V' => r"[^\n\x0B\x0C\r\u{85}\u{2028}\u{2029}]".into(),
            'R' if !in_class => r"(?:\r\n|[\n\x0B\x0C\r\u{85}\u{2028}\u{2029}])".into(),
            'X' if !in_class => r"(?:\P{M}\p{M}*)".into(),
            'Z' if !in_class => self.end.to_string(),
            'z' | 'A' | 'b' | 'B' | 'G' if !in_class => format!("\\{c}"),
            'a' => r"\x07".into(),
            'e' => r"\x1B".into(),
            'f' => r"\x0C".into(),
            'n' | 't' | 'r' => format!("\\{c}"),
            'c' => format!(r"\x{:02X}", (self.chars.next()? as u32 ^ 64) & 0x7f),
            '0' => {
                let mut value = 0;
                for _ in 0..3 {
                    match self.chars.peek().and_then(|c| c.to_digit(8)) {
                        Some(d) if value * 8 + d <= 0xff => {
                            value = value * 8 + d;
                            self.chars.next();
                        }
                        _ => break,
                    }
                }
                format!(r"\x{value:02X}")
            }
            'x' | 'u' => {
                let braced = c == 'x' && self.chars.peek() == Some(&'{');
                let digits: String = if braced {
                    self.chars.next();
                    self.chars.by_ref().take_while(|c| *c != '}').collect()
                } else {
                    self.chars.by_ref().take(if c == 'x' { 2 } else { 4 }).collect()
                };
                let code = u32::from_str_radix(&digits, 16).ok()?;
                format!(r"\u{{{code:X}}}")
            }
            'p' | 'P' => self.property(c == 'P', in_class)?,
            'Q' => {
                let mut literal = String::new();
                while let Some(c) = self.chars.next() {
                    if c == '\\' && self.chars.peek() == Some(&'E') {
                        self.chars.next();
                        break;
                    }
                    literal.push(c);
                }
                escape(&literal)
            }
            'E' => return None,
            'k' => {
                if self.chars.next()? != '<' {
                    return None;
                }
                let name: String = self.chars.by_ref().take_while(|c| *c != '>').collect();
                format!("\\k<{name}>")
            }
            '1'..='9' if !in_class => format!("\\{c}"),
            c if c.is_ascii_alphabetic() => return None,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() && !c.is_ascii_whitespace() => format!("\\{c}"),
            c => c.to_string(),
        };
        self.out.push_str(&text);
        Some(())
    }

    /// `\p{..}`
    fn property(&mut self, negated: bool, in_class: bool) -> Option<String> {
        let name: String = match self.chars.next()? {
            '{' => self.chars.by_ref().take_while(|c| *c != '}').collect(),
            c => c.to_string(),
        };
        let set = match name.as_str() {
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => r"\x00-\x7F",
            "Alpha" => "A-Za-z",
            "Digit" => "0-9",
            "Alnum" => "0-9A-Za-z",
            "Punct" => r"!-/:-@\[-`{-~",
            "Graph" => "!-~",
            "Print" => " -~",
            "Blank" => r" \t",
            "Cntrl" => r"\x00-\x1F\x7F",
            "XDigit" => "0-9A-Fa-f",
            "Space" => r"\t\n\x0B\x0C\r ",
            "javaLowerCase" | "IsLowercase" => r"\p{Lowercase}",
            "javaUpperCase" | "IsUppercase" => r"\p{Uppercase}",
            "javaWhitespace" | "IsWhite_Space" | "IsWhiteSpace" => r"\p{White_Space}",
            "IsAlphabetic" | "javaAlphabetic" => r"\p{Alphabetic}",
            "IsIdeographic" => r"\p{Ideographic}",
            "IsLetter" => r"\p{L}",
            "IsPunctuation" => r"\p{P}",
            "IsControl" => r"\p{Cc}",
            "IsDigit" => r"\p{Nd}",
            _ => {
                let name = name.strip_prefix("Is").unwrap_or(&name);
                let name = name.rsplit('=').next()?;
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return None;
                }
                return Some(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }));
            }
        };
        Some(match (negated, in_class) {
            (true, _) => format!("[^{set}]"),
            (false, true) => set.to_string(),
            (false, false) => format!("[{set}]"),
        })
    }

    /// After `[`: ranges, nested classes and intersections are alike, but for what must be escaped.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.chars.peek() == Some(&'^') {
            self.chars.next();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.chars.next()?;
            match c {
                // In Java too a bracket that comes first is itself.
                ']' if first => self.out.push_str(r"\]"),
                ']' => {
                    self.out.push(']');
                    return Some(());
                }
                '[' => self.class()?,
                '\\' => self.escape(true)?,
                '&' if self.chars.peek() == Some(&'&') => {
                    self.chars.next();
                    self.out.push_str("&&");
                }
                // Operators of the regex engine that Java does not have.
                '-' if self.chars.peek() == Some(&'-') => self.out.push_str(r"\-"),
                '~' | '&' | '#' | ' ' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                c => self.out.push(c),
            }
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, text: &str) -> bool {
        JavaRegex::new(pattern).is_some_and(|r| r.is_match(text))
    }

    #[test]
    fn ascii_classes() {
        assert!(is(r"^\d+$", "123"));
        assert!(!is(r"^\d+$", "٣"));
        assert!(!is(r"\w", "é"));
        assert!(is(r"\p{L}", "é"));
        assert!(is(r"^[\w.]+$", "a.b"));
        assert!(is(r"^\p{Alpha}\p{Punct}$", "a]"));
    }

    #[test]
    fn ends() {
        assert!(is("a$", "a"));
        assert!(is("a$", "a\n"));
        assert!(is("a$", "a\r\n"));
        assert!(!is("a$", "a\n\n"));
        assert!(!is(r"a\z", "a\n"));
        assert!(is("(?m)a$", "a\nb"));
        assert!(!is("a.b", "a\nb"));
        assert!(is("(?s)a.b", "a\nb"));
        assert!(is("(?s:a.)b", "a\nb"));
    }

    #[test]
    fn java_only() {
        assert!(is(r"\Qa.b\E+", "xa.bbb"));
        assert!(!is(r"\Qa.b\E", "axb"));
        assert!(is(r"(?<!a)b", "cb"));
        assert!(is(r"(a)\1", "aa"));
        assert!(is(r"[a-z&&[^b]]", "a"));
        assert!(!is(r"^[a-z&&[^b]]$", "b"));
        assert!(is(r"a++b", "aaab"));
        assert!(is(r"\x41B", "AB"));
        assert!(is("(?i)SPARK", "spark"));
        assert!(is("[]a]", "]"));
        assert!(is("a{2}", "aa"));
    }

    #[test]
    fn bad_patterns() {
        for bad in ["(", "[a", r"\y", "a{x", "*a"] {
            assert!(JavaRegex::new(bad).is_none(), "{bad}");
        }
    }
}
