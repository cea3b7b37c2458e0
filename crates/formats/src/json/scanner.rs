//! The tokens of JSON, over a text in memory. Nothing is built that is not asked for.

use super::options::Leniency;

/// The text is not JSON (as far as the options go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError;

/// How deep arrays and objects may nest, as in the parser that Spark uses.
pub const MAX_DEPTH: usize = 1000;

/// What begins at the scanner's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Object,
    Array,
    /// A text; its quote is the byte.
    Text(u8),
    Number,
    True,
    False,
    Null,
    /// `NaN`, `Infinity`, ...: a number by its name.
    Name,
}

/// A number's text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number<'a> {
    pub text: &'a str,
    /// Without point and exponent.
    pub integer: bool,
    /// The value where it is an integer of 64 bits.
    pub long: Option<i64>,
}

/// A place in a JSON text.
#[derive(Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    pub leniency: Leniency,
}

/// What a value may have at most, as options say it (Jackson's `StreamReadConstraints`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arrays and objects within each other.
    pub depth: usize,
    /// Characters of a text.
    pub text: usize,
    /// Digits of a number.
    pub number: usize,
}

impl Limits {
    fn is_longer(&self, text: &[u8]) -> bool {
        // A text has as many bytes as it has characters, or more.
        text.len() > self.text && String::from_utf8_lossy(text).encode_utf16().count() > self.text
    }
}

type Scan<T> = Result<T, SyntaxError>;

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, leniency: Leniency) -> Self {
        // A byte order mark may stand first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { text, bytes: text.as_bytes(), at: 0, leniency }
    }

    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    pub fn slice(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips whitespace and comments. Errs on characters that are neither whitespace nor text.
    #[inline]
    pub fn skip_space(&mut self) -> Scan<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(b'/') if self.leniency.comments => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Scan<()> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"//") {
            self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            Ok(())
        } else if rest.starts_with(b"/*") {
            let end = memchr::memmem::find(&rest[2..], b"*/").ok_or(SyntaxError)?;
            self.at += end + 4;
            Ok(())
        } else {
            Err(SyntaxError)
        }
    }

    /// Skips space and tells whether the text ends there.
    pub fn at_end(&mut self) -> Scan<bool> {
        self.skip_space()?;
        Ok(self.at >= self.bytes.len())
    }

    /// What the value at this place (behind space) is. Nothing of it is consumed.
    #[inline]
    pub fn start(&mut self) -> Scan<Start> {
        self.skip_space()?;
        Ok(match self.peek() {
            Some(b'"') => Start::Text(b'"'),
            Some(b'{') => Start::Object,
            Some(b'[') => Start::Array,
            Some(b'0'..=b'9') => Start::Number,
            Some(b'-') => match self.bytes.get(self.at + 1) {
                Some(b'I') => Start::Name,
                _ => Start::Number,
            },
            Some(b't') => Start::True,
            Some(b'f') => Start::False,
            Some(b'n') => Start::Null,
            Some(b'\'') if self.leniency.single_quotes => Start::Text(b'\''),
            Some(b'N' | b'I' | b'+') => Start::Name,
            _ => return Err(SyntaxError),
        })
    }

    /// Consumes `true`, `false` or `null`.
    #[inline]
    pub fn word(&mut self, word: &str) -> Scan<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) == Some(word.as_bytes()) && !self.continues_word(end) {
            self.at = end;
            Ok(())
        } else {
            Err(SyntaxError)
        }
    }

    fn continues_word(&self, end: usize) -> bool {
        self.bytes
            .get(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$' || *b >= 0x80)
    }

    /// Consumes `NaN`, `Infinity`, `-Infinity`, `+Infinity`, `-INF` or `+INF`.
    pub fn named_number(&mut self) -> Scan<f64> {
        if !self.leniency.non_numeric_numbers {
            return Err(SyntaxError);
        }
        for (name, value) in [
            ("NaN", f64::NAN),
            ("Infinity", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("+INF", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
        ] {
            if self.word(name).is_ok() {
                return Ok(value);
            }
        }
        Err(SyntaxError)
    }

    /// Consumes a number.
    #[inline]
    pub fn number(&mut self) -> Scan<Number<'a>> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        let mut at = start + usize::from(negative);
        let digits = at;
        let mut value: u64 = 0;
        let mut exact = true;
        while let Some(b @ b'0'..=b'9') = self.bytes.get(at) {
            match value.checked_mul(10).and_then(|v| v.checked_add(u64::from(b - b'0'))) {
                Some(v) => value = v,
                None => exact = false,
            }
            at += 1;
        }
        if at == digits || (self.bytes[digits] == b'0' && at > digits + 1 && !self.leniency.leading_zeros) {
            return Err(SyntaxError);
        }
        let mut integer = true;
        if self.bytes.get(at) == Some(&b'.') {
            integer = false;
            at += 1;
            let fraction = at;
            while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if at == fraction {
                return Err(SyntaxError);
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            integer = false;
            at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(at) {
                at += 1;
            }
            let exponent = at;
            while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if at == exponent {
                return Err(SyntaxError);
            }
        }
        if self.continues_word(at) {
            return Err(SyntaxError);
        }
        self.at = at;
        let long = if !integer || !exact {
            None
        } else if negative {
            0_i64.checked_sub_unsigned(value)
        } else {
            i64::try_from(value).ok()
        };
        Ok(Number { text: &self.text[start..at], integer, long })
    }

    /// Consumes a text whose quote is at this place, appending what it says.
    #[inline]
    pub fn text(&mut self, quote: u8, out: &mut Vec<u8>) -> Scan<()> {
        self.at += 1;
        loop {
            let run = self.plain_run(quote);
            out.extend_from_slice(run);
            match self.peek() {
                Some(b) if b == quote => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(out)?,
                Some(b) if self.leniency.control_characters => {
                    out.push(b);
                    self.at += 1;
                }
                _ => return Err(SyntaxError),
            }
        }
    }

    /// Consumes a text; gives what it says without copying where nothing in it is escaped.
    #[inline]
    pub fn text_slice<'b>(&mut self, quote: u8, scratch: &'b mut Vec<u8>) -> Scan<&'b [u8]>
    where
        'a: 'b,
    {
        let start = self.at;
        self.at += 1;
        let bytes = self.bytes;
        let run = {
            let from = self.at;
            let _ = self.plain_run(quote);
            &bytes[from..self.at]
        };
        if self.peek() == Some(quote) {
            self.at += 1;
            return Ok(run);
        }
        self.at = start;
        scratch.clear();
        self.text(quote, scratch)?;
        Ok(scratch)
    }

    /// Bytes up to a quote, an escape or a control character.
    #[inline]
    fn plain_run(&mut self, quote: u8) -> &'a [u8] {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|b| *b == quote || *b == b'\\' || *b < 0x20).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Scan<()> {
        let escaped = *self.bytes.get(self.at + 1).ok_or(SyntaxError)?;
        self.at += 2;
        out.push(match escaped {
            b'"' | b'\\' | b'/' => escaped,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\'' if self.leniency.single_quotes => b'\'',
            b'u' => return self.unicode_escape(out),
            other if self.leniency.any_escape => other,
            _ => return Err(SyntaxError),
        });
        Ok(())
    }

    fn hex4(&mut self) -> Scan<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(SyntaxError)?;
        let mut value = 0;
        for d in digits {
            value = value * 16 + (*d as char).to_digit(16).ok_or(SyntaxError)?;
        }
        self.at += 4;
        Ok(value)
    }

    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> Scan<()> {
        let first = self.hex4()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            } else {
                self.at = before;
            }
        }
        // Half a surrogate pair is no character; Java writes it as a question mark.
        let c = char::from_u32(code).unwrap_or('?');
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// Consumes an opening bracket.
    #[inline]
    pub fn open(&mut self) {
        self.at += 1;
    }

    /// In an array, before an element: whether there is one. Consumes the comma or the closing bracket.
    #[inline]
    pub fn next_element(&mut self, first: bool) -> Scan<bool> {
        self.skip_space()?;
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(SyntaxError),
        }
    }

    /// In an object, before a field: its name, in the text or (where escaped) in `scratch`. Consumes the comma, the name and
    /// the colon; or the closing bracket, and gives `None`.
    #[inline]
    pub fn next_field<'b>(&mut self, first: bool, scratch: &'b mut Vec<u8>) -> Scan<Option<&'b [u8]>>
    where
        'a: 'b,
    {
        self.skip_space()?;
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.skip_space()?;
            }
            Some(_) if first => {}
            _ => return Err(SyntaxError),
        }
        let name: &'b [u8] = match self.peek() {
            Some(b'"') => self.text_slice(b'"', scratch)?,
            Some(b'\'') if self.leniency.single_quotes => self.text_slice(b'\'', scratch)?,
            Some(_) if self.leniency.unquoted_names => {
                let start = self.at;
                let bytes = self.bytes;
                while self.continues_word(self.at) {
                    self.at += 1;
                }
                if self.at == start || bytes[start].is_ascii_digit() {
                    return Err(SyntaxError);
                }
                &bytes[start..self.at]
            }
            _ => return Err(SyntaxError),
        };
        self.skip_space()?;
        if self.peek() != Some(b':') {
            return Err(SyntaxError);
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Consumes a value of any kind, checking that it is JSON.
    pub fn skip_value(&mut self) -> Scan<()> {
        self.walk(None).map(|_| ())
    }

    /// Whether the value at this place has more than it may. What is no JSON is found when it is read.
    pub fn exceeds(&self, limits: &Limits) -> bool {
        self.clone().walk(Some(limits)) == Ok(true)
    }

    /// Goes over a value, up to what exceeds the limits: whether something does.
    fn walk(&mut self, limits: Option<&Limits>) -> Scan<bool> {
        let mut scratch = Vec::new();
        // For each open bracket: whether it is an object's.
        let mut open: Vec<bool> = Vec::new();
        loop {
            match (self.start()?, limits) {
                (Start::Object | Start::Array, Some(limits)) if open.len() >= limits.depth => {
                    return Ok(true);
                }
                (Start::Object | Start::Array, None) if open.len() >= MAX_DEPTH => return Err(SyntaxError),
                (kind @ (Start::Object | Start::Array), _) => {
                    self.at += 1;
                    open.push(kind == Start::Object);
                    if self.enter(kind == Start::Object, true, &mut scratch)? {
                        continue;
                    }
                    open.pop();
                }
                (Start::Text(quote), Some(limits)) => {
                    if limits.is_longer(self.text_slice(quote, &mut scratch)?) {
                        return Ok(true);
                    }
                }
                (Start::Number, Some(limits)) => {
                    let digits = self.number()?.text.bytes().filter(u8::is_ascii_digit).count();
                    if digits > limits.number {
                        return Ok(true);
                    }
                }
                (other, _) => self.skip_scalar(other, &mut scratch)?,
            }
            // A value ended; close what ends with it.
            loop {
                let Some(object) = open.last().copied() else { return Ok(false) };
                if self.enter(object, false, &mut scratch)? {
                    break;
                }
                open.pop();
            }
        }
    }

    fn enter(&mut self, object: bool, first: bool, scratch: &mut Vec<u8>) -> Scan<bool> {
        if object { Ok(self.next_field(first, scratch)?.is_some()) } else { self.next_element(first) }
    }

    fn skip_scalar(&mut self, start: Start, scratch: &mut Vec<u8>) -> Scan<()> {
        match start {
            Start::Text(quote) => self.text_slice(quote, scratch).map(|_| ()),
            Start::Number => self.number().map(|_| ()),
            Start::True => self.word("true"),
            Start::False => self.word("false"),
            Start::Null => self.word("null"),
            Start::Name => self.named_number().map(|_| ()),
            Start::Object | Start::Array => Err(SyntaxError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(text: &str) -> bool {
        Scanner::new(text, Leniency::default()).skip_value().is_ok()
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        for good in [
            "1",
            "-0",
            "1.5e+3",
            "\"a\\u00e9\\n\"",
            "[]",
            "[1, [2], {}]",
            "{\"a\": {\"b\": [true, null]}}",
            "'x\"'",
            "NaN",
            "-Infinity",
            " {\"a\" : 1} trailing is not looked at",
        ] {
            assert!(skips(good), "{good}");
        }
        for bad in [
            "",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "-",
            "tru",
            "nullx",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "[1,]",
            "[1",
            "{a:1}",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12\"",
            "INF",
            "12x",
            "{,}",
            "[,1]",
        ] {
            assert!(!skips(bad), "{bad}");
        }
        assert!(!skips(&"[".repeat(1100)));
    }

    #[test]
    fn texts_say_what_java_says() {
        let mut out = Vec::new();
        let mut s = Scanner::new(r#""\u00e9\ud83d\ude00\ud83d\/""#, Leniency::default());
        s.text(b'"', &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "é😀?/");
    }
}
