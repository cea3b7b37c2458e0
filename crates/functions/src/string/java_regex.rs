//! Java's regular expressions on `fancy-regex`.
//!
//! The syntaxes are close; where they differ the pattern is rewritten: `\d \w \s` and `(?i)` know ASCII only, `.` stops
//! at every line terminator, `$` also matches before a last one, `\Q..\E`, `\h`, `\R`, and Java's names of character
//! classes.

use fancy_regex::{Captures, Regex, RegexBuilder};

use super::java_blocks::block;

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
    /// Flags in force in each open group.
    flags: Vec<Flags>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    dot_all: bool,
    multi_line: bool,
    /// Classes know all of Unicode.
    unicode: bool,
    comments: bool,
    unix_lines: bool,
    /// `(?i)`: of ASCII letters, unless [`Flags::folds_unicode`].
    ignores_case: bool,
    folds_unicode: bool,
}

impl Flags {
    fn folds(self) -> Fold {
        match (self.ignores_case, self.folds_unicode || self.unicode) {
            (false, _) => Fold::No,
            (true, false) => Fold::Ascii,
            (true, true) => Fold::Unicode,
        }
    }
}

/// Which letters match those of the other case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fold {
    No,
    Ascii,
    Unicode,
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
                '\\' => self.escape()?,
                '[' if self.flags().folds() == Fold::Unicode => {
                    self.out.push_str("(?i:");
                    self.class()?;
                    self.out.push(')');
                }
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
                c if c.is_alphanumeric() => self.literal(c),
                c => self.out.push(c),
            }
        }
        Some(())
    }

    /// A character that stands for itself, outside of classes.
    fn literal(&mut self, c: char) {
        let text = escape(c.encode_utf8(&mut [0; 4]));
        match self.flags().folds() {
            Fold::Ascii if c.is_ascii_alphabetic() => {
                self.out.push_str(&format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()));
            }
            Fold::Unicode => self.out.push_str(&format!("(?i:{text})")),
            _ => self.out.push_str(&text),
        }
    }

    /// Characters of a class, from one to another: those of the other case with them.
    fn range(&mut self, from: char, to: char) {
        let text = |c: char| match c.is_alphanumeric() {
            true => c.to_string(),
            false => format!(r"\u{{{:X}}}", u32::from(c)),
        };
        let mut push = |from: char, to: char| match from == to {
            true => self.out.push_str(&text(from)),
            false => self.out.push_str(&format!("{}-{}", text(from), text(to))),
        };
        push(from, to);
        if self.flags.last().is_some_and(|f| f.folds() == Fold::Ascii) {
            for (first, last, distance) in [('a', 'z', -32i32), ('A', 'Z', 32)] {
                let (low, high) = (from.max(first), to.min(last));
                let other = |c: char| u32::from(c).checked_add_signed(distance).and_then(char::from_u32);
                if let (true, Some(low), Some(high)) = (low <= high, other(low), other(high)) {
                    push(low, high);
                }
            }
        }
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
                loop {
                    let c = self.chars.next()?;
                    match c {
                        '-' => on = false,
                        's' => changed.dot_all = on,
                        'm' => changed.multi_line = on,
                        'x' => changed.comments = on,
                        'd' => changed.unix_lines = on,
                        'U' => changed.unicode = on,
                        'u' => changed.folds_unicode = on,
                        'i' => changed.ignores_case = on,
                        ':' => {
                            self.out.push_str("?:");
                            self.flags.push(changed);
                            return Some(());
                        }
                        // All flags are rewritten: the group itself is nothing.
                        ')' => {
                            self.out.pop();
                            *self.flags.last_mut()? = changed;
                            return Some(());
                        }
                        _ => return None,
                    }
                }
            }
        }
        Some(())
    }

    /// After a backslash, outside of classes.
    fn escape(&mut self) -> Option<()> {
        let c = self.chars.next()?;
        match self.escaped_character(c)? {
            Some(single) => self.literal(single),
            None => self.escaped_set(c, false)?,
        }
        Some(())
    }

    /// The one character that a backslash and `c` stand for.
    fn escaped_character(&mut self, c: char) -> Option<Option<char>> {
        let code = match c {
            'a' => 0x07,
            'e' => 0x1B,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'c' => (self.chars.next()? as u32 ^ 64) & 0x7f,
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
                value
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
                if matches!(code, 0xD800..0xDC00) { self.low_surrogate(code)? } else { code }
            }
            c if c.is_ascii_alphanumeric() => return Some(None),
            c => u32::from(c),
        };
        char::from_u32(code).map(Some)
    }

    /// The character whose first half in UTF-16 was read: the other half must follow.
    fn low_surrogate(&mut self, high: u32) -> Option<u32> {
        let rest: String = self.chars.by_ref().take(6).collect();
        let low = u32::from_str_radix(rest.strip_prefix(r"\u")?, 16).ok()?;
        matches!(low, 0xDC00..0xE000).then(|| 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }

    /// What else a backslash and `c` stand for: a set of characters, a place, a group.
    fn escaped_set(&mut self, c: char, in_class: bool) -> Option<()> {
        let unicode = self.flags().unicode;
        let wrap = |text: &str| if in_class { text.to_string() } else { format!("[{text}]") };
        let text = match c {
            'd' if !unicode => wrap("0-9"),
            'w' if !unicode => wrap("0-9A-Za-z_"),
            's' if !unicode => wrap(r"\t\n\x0B\x0C\r "),
            'D' if !unicode => "[^0-9]".into(),
            'W' if !unicode => "[^0-9A-Za-z_]".into(),
            'S' if !unicode => r"[^\t\n\x0B\x0C\r ]".into(),
            'd' | 'w' | 's' | 'D' | 'W' | 'S' => format!("\\{c}"),
            'h' => wrap(r" \t\u{A0}\u{1680}\u{180E}\u{2000}-\u{200A}\u{202F}\u{205F}\u{3000}"),
            'H' => r"[^ \t\u{A0}\u{1680}\u{180E}\u{2000}-\u{200A}\u{202F}\u{205F}\u{3000}]".into(),
            'v' => wrap(r"\n\x0B\x0C\r\u{85}\u{2028}\u{2029}"),
            'V' => r"[^\n\x0B\x0C\r\u{85}\u{2028}\u{2029}]".into(),
            'R' if !in_class => r"(?:\r\n|[\n\x0B\x0C\r\u{85}\u{2028}\u{2029}])".into(),
            'X' if !in_class => r"(?:\P{M}\p{M}*)".into(),
            'Z' if !in_class => self.end.to_string(),
            'z' | 'A' | 'b' | 'B' | 'G' if !in_class => format!("\\{c}"),
            'p' | 'P' => self.property(c == 'P', in_class)?,
            'Q' => {
                while let Some(c) = self.chars.next() {
                    if c == '\\' && self.chars.peek() == Some(&'E') {
                        self.chars.next();
                        break;
                    }
                    match in_class {
                        true => self.range(c, c),
                        false => self.literal(c),
                    }
                }
                return Some(());
            }
            'k' => {
                if self.chars.next()? != '<' {
                    return None;
                }
                let name: String = self.chars.by_ref().take_while(|c| *c != '>').collect();
                self.back_reference(&format!("\\k<{name}>"))
            }
            '1'..='9' if !in_class => self.back_reference(&format!("\\{c}")),
            _ => return None,
        };
        self.out.push_str(&text);
        Some(())
    }

    fn back_reference(&self, text: &str) -> String {
        if self.flags().ignores_case { format!("(?i:{text})") } else { text.to_string() }
    }

    /// `\p{..}`
    fn property(&mut self, negated: bool, in_class: bool) -> Option<String> {
        let name: String = match self.chars.next()? {
            '{' => self.chars.by_ref().take_while(|c| *c != '}').collect(),
            c => c.to_string(),
        };
        let flags = self.flags();
        let fixed = match name.as_str() {
            // Letters of one case are those of all cases then.
            "Lower" | "Upper" if flags.folds() == Fold::Ascii => Some("A-Za-z"),
            name if flags.ignores_case && CASES.contains(&name) => Some(r"\p{Lu}\p{Ll}\p{Lt}"),
            name if flags.unicode => unicode_class(name).or_else(|| java_class(name)),
            name => ascii_class(name).or_else(|| java_class(name)),
        };
        let set = fixed.map(str::to_string).or_else(|| keyed(&name))?;
        Some(match (negated, in_class) {
            (true, _) => format!("[^{set}]"),
            (false, true) => set,
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
            let from = match self.chars.next()? {
                // In Java too a bracket that comes first is itself.
                ']' if !first => {
                    self.out.push(']');
                    return Some(());
                }
                '[' => {
                    self.class()?;
                    None
                }
                '&' if self.chars.peek() == Some(&'&') => {
                    self.chars.next();
                    self.out.push_str("&&");
                    None
                }
                '\\' => {
                    let c = self.chars.next()?;
                    match self.escaped_character(c)? {
                        None => {
                            self.escaped_set(c, true)?;
                            None
                        }
                        single => single,
                    }
                }
                c => Some(c),
            };
            first = false;
            if let Some(from) = from {
                let to = self.end_of_range()?.unwrap_or(from);
                if to < from {
                    return None;
                }
                self.range(from, to);
            }
        }
    }

    /// The last character of a range, where a `-` follows that makes one.
    fn end_of_range(&mut self) -> Option<Option<char>> {
        let mut ahead = self.chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some('\\')) => {
                self.chars = ahead;
                let c = self.chars.next()?;
                self.escaped_character(c)?.map(Some)
            }
            (Some('-'), Some(to)) if to != ']' && to != '[' => {
                self.chars = ahead;
                Some(Some(to))
            }
            _ => Some(None),
        }
    }
}

/// Categories and properties of letters of one case.
const CASES: [&str; 8] =
    ["Lu", "Ll", "Lt", "IsLowercase", "IsUppercase", "IsTitlecase", "javaLowerCase", "javaUpperCase"];

/// POSIX's classes, as Java knows them without `(?U)`.
fn ascii_class(name: &str) -> Option<&'static str> {
    Some(match name {
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
        _ => return None,
    })
}

/// The names of Java's own, and of binary properties.
fn java_class(name: &str) -> Option<&'static str> {
    Some(match name {
        "javaLowerCase" | "IsLowercase" => r"\p{Lowercase}",
        "javaUpperCase" | "IsUppercase" => r"\p{Uppercase}",
        "javaWhitespace" | "IsWhite_Space" | "IsWhiteSpace" => r"\p{White_Space}",
        "IsAlphabetic" | "javaAlphabetic" => r"\p{Alphabetic}",
        "IsIdeographic" => r"\p{Ideographic}",
        "IsLetter" => r"\p{L}",
        "IsPunctuation" => r"\p{P}",
        "IsControl" => r"\p{Cc}",
        "IsDigit" => r"\p{Nd}",
        "LD" => r"\p{L}\p{Nd}",
        "L1" => r"\x00-\xFF",
        "all" => r"\x00-\u{10FFFF}",
        _ => return None,
    })
}

/// Categories, scripts and blocks, by the forms of their names (`CharPredicates` and `Pattern.charPropertyNodeFor` of Java).
fn keyed(name: &str) -> Option<String> {
    let is_word = |value: &str| value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some((key, value)) = name.split_once('=') {
        return match key.to_ascii_lowercase().as_str() {
            "block" | "blk" => block(value),
            "sc" | "script" | "gc" | "general_category" if is_word(value) => Some(format!(r"\p{{{value}}}")),
            _ => None,
        };
    }
    if let Some(name) = name.strip_prefix("In") {
        return block(name);
    }
    let (category, value) = match name.strip_prefix("Is") {
        Some(value) => (false, value),
        None => (true, name),
    };
    let is_category = value.len() <= 2 && value.starts_with(|c: char| c.is_ascii_uppercase());
    (!value.is_empty() && is_word(value) && (is_category || !category)).then(|| format!(r"\p{{{value}}}"))
}

/// POSIX's classes under `(?U)` (the table in the documentation of `java.util.regex.Pattern`).
fn unicode_class(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => r"\p{Lowercase}",
        "Upper" => r"\p{Uppercase}",
        "Alpha" => r"\p{Alphabetic}",
        "Digit" => r"\p{Nd}",
        "Alnum" => r"\p{Alphabetic}\p{Nd}",
        "Punct" => r"\p{P}",
        "Graph" => r"[^\p{White_Space}\p{Cc}\p{Cn}]",
        "Print" => r"[^\p{White_Space}\p{Cc}\p{Cn}]\p{Zs}",
        "Blank" => r"\p{Zs}\t",
        "Cntrl" => r"\p{Cc}",
        "XDigit" => r"\p{Nd}\p{Hex_Digit}",
        "Space" => r"\p{White_Space}",
        _ => return ascii_class(name),
    })
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
        assert!(is(r"^[\x41-\x43 -/]+$", "AC-/"));
        assert!(is(r"^[a\-z]+$", "a-z"));
        assert!(is(r"^\uD83D\uDE00[\uD83D\uDE00]$", "😀😀"));
        assert!(is(r"a\<b\>", "a<b>"));
        assert!(!is(r"[a\-z]", "b"));
        assert!(is("[]a]", "]"));
        assert!(is("a{2}", "aa"));
    }

    #[test]
    fn cases() {
        assert!(!is("(?i)é", "É"));
        assert!(is("(?iu)é", "É"));
        assert!(is("(?i)[a-c]", "B") && is("(?i)[A-z]", "_") && !is("(?i)[^k]", "K"));
        assert!(!is("(?i)[à-ÿ]", "É") && is("(?iu)[à-ÿ]", "É"));
        assert!(!is("(?i)s", "ſ") && is("(?iu)s", "ſ"));
        assert!(is("x(?i:a)b", "xAb") && !is("x(?i:a)b", "xAB"));
        assert!(is("(?i)x(?-i)a", "Xa") && !is("(?i)x(?-i)a", "XA"));
        assert!(is(r"(?i)(a)\1", "aA") && is(r"(?i)\x61", "A") && is(r"(?i)\Qa.\E", "A."));
        assert!(is(r"(?i)\p{Lu}", "a") && !is(r"(?i)\P{Lu}", "a") && is(r"(?i)\p{Lower}", "A"));
    }

    #[test]
    fn classes_of_unicode() {
        assert!(is(r"(?U)^[\w]\d\s$", "é٣\u{2003}") && !is(r"(?U)\W", "é"));
        assert!(is(r"(?U)\p{Alpha}", "é") && !is(r"\p{Alpha}", "é"));
        assert!(is(r"(?U)\p{Graph}", "é") && is(r"(?U)\p{Print}", " ") && !is(r"(?U)\p{Graph}", " "));
        assert!(is(r"(?U)[\p{Upper}]", "É") && !is(r"(?U)\p{ASCII}", "é"));
    }

    #[test]
    fn blocks_and_scripts() {
        assert!(is(r"^\p{InGreek}\P{InGreek}[^\p{InBasicLatin}]$", "αaα"));
        assert!(is(r"^\p{InLatin-1 Supplement}\p{blk=LATIN_1_SUPPLEMENT}\p{block=greekandcoptic}$", "ééα"));
        assert!(is(r"^\p{sc=Greek}\p{Script=grek}\p{IsGreek}\p{gc=Ll}\p{L1}\p{LD}$", "αααaé1"));
    }

    #[test]
    fn bad_patterns() {
        for bad in [
            r"\p{Greek}",
            r"\p{InNothing}",
            r"\p{inGreek}",
            r"\p{InGreek_and_Coptic}",
            r"\p{x=L}",
            "(",
            "[a",
            r"\y",
            "a{x",
            "*a",
        ] {
            assert!(JavaRegex::new(bad).is_none(), "{bad}");
        }
    }
}
