//! Records to fields: delimiters, quotes, escapes, as the parser that Spark uses takes them.

use boathouse_spec::{Error, Result};

use super::options::{Options, UnescapedQuote};

/// How a field was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bare,
    Quoted,
    /// It could not be read and is NULL.
    Skipped,
}

/// The fields of a record. Kept from one record to the next for its buffers.
#[derive(Debug, Default)]
pub struct Fields {
    text: String,
    ends: Vec<(usize, Kind)>,
}

impl Fields {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A field as it was written; `None` where there is no such field, or no value in it.
    ///
    /// A bare empty field says what the option `nullValue` says, a quoted one what `emptyValue` says.
    pub fn get<'a>(&'a self, i: usize, options: &'a Options) -> Option<&'a str> {
        let (end, kind) = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1].0 };
        match kind {
            Kind::Skipped => None,
            _ if start < end => Some(&self.text[start..end]),
            Kind::Bare => Some(&options.null_value),
            Kind::Quoted => Some(&options.empty_value),
        }
    }

    /// As [`Fields::get`], without the value that stands for NULL.
    pub fn value<'a>(&'a self, i: usize, options: &'a Options) -> Option<&'a str> {
        self.get(i, options).filter(|text| *text != options.null_value)
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn close(&mut self, kind: Kind) {
        self.ends.push((self.text.len(), kind));
    }
}

/// Splits texts by the options' characters.
#[derive(Debug)]
pub struct Tokenizer {
    delimiter: Vec<u8>,
    quote: char,
    escape: char,
    escape_escape: char,
    trim_leading: bool,
    trim_trailing: bool,
    unescaped: UnescapedQuote,
    max_columns: usize,
    max_chars: Option<usize>,
    /// Newlines end records; otherwise the whole text is one.
    newline_ends: bool,
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }
}

impl Tokenizer {
    /// `newline_ends`: records are lines of a longer text, but newlines in quotes belong to values.
    pub fn new(options: &Options, newline_ends: bool) -> Self {
        // Without an own escape, the escape of quotes escapes itself; a doubled quote needs none.
        let escape_escape = options.escape_escape.unwrap_or(if options.escape == options.quote {
            '\0'
        } else {
            options.escape
        });
        Self {
            delimiter: options.delimiter.clone().into_bytes(),
            quote: options.quote,
            escape: options.escape,
            escape_escape,
            trim_leading: options.trim_leading,
            trim_trailing: options.trim_trailing,
            unescaped: options.unescaped_quote,
            max_columns: options.max_columns,
            max_chars: usize::try_from(options.max_chars_per_column).ok(),
            newline_ends,
        }
    }

    /// Reads the record at a place of a text; gives the place behind it and its newline.
    pub fn record(&self, text: &str, at: usize, fields: &mut Fields) -> Result<usize> {
        fields.clear();
        let mut cursor = Cursor { text, at };
        loop {
            let kind = self.field(&mut cursor, fields)?;
            let start = fields.ends.last().map_or(0, |(end, _)| *end);
            if self.max_chars.is_some_and(|max| fields.text.len() - start > max) {
                return Err(too_big(format!(
                    "a value of more than {} characters",
                    self.max_chars.unwrap_or(0)
                )));
            }
            fields.close(kind);
            if fields.len() > self.max_columns {
                return Err(too_big(format!("more than {} columns", self.max_columns)));
            }
            if cursor.rest().starts_with(&self.delimiter) {
                cursor.at += self.delimiter.len();
            } else {
                return Ok(cursor.at + self.newline(cursor.rest()));
            }
        }
    }

    /// The length of the newline at the start of a text: 0 where there is none, or where newlines are data.
    fn newline(&self, rest: &[u8]) -> usize {
        match rest {
            _ if !self.newline_ends => 0,
            [b'\r', b'\n', ..] => 2,
            [b'\n' | b'\r', ..] => 1,
            _ => 0,
        }
    }

    fn ends_field(&self, rest: &[u8]) -> bool {
        rest.is_empty() || rest.starts_with(&self.delimiter) || self.newline(rest) > 0
    }

    /// How many bytes of blanks stand first that are no delimiter and no newline.
    fn blanks(&self, rest: &[u8]) -> usize {
        let mut n = 0;
        while rest.get(n).is_some_and(|b| *b <= b' ') && !self.ends_field(&rest[n..]) {
            n += 1;
        }
        n
    }

    fn field(&self, cursor: &mut Cursor, fields: &mut Fields) -> Result<Kind> {
        if self.trim_leading {
            cursor.at += self.blanks(cursor.rest());
        }
        if self.quote != '\0' && cursor.text[cursor.at..].starts_with(self.quote) {
            return self.quoted(cursor, fields);
        }
        let start = fields.text.len();
        self.bare(cursor, fields, start);
        Ok(Kind::Bare)
    }

    /// Takes everything up to the field's end.
    fn bare(&self, cursor: &mut Cursor, fields: &mut Fields, value_start: usize) {
        let rest = cursor.rest();
        let first = self.delimiter.first().copied().unwrap_or(b',');
        let mut length = 0;
        loop {
            let ahead = &rest[length..];
            let step = if self.newline_ends {
                memchr::memchr3(first, b'\n', b'\r', ahead)
            } else {
                memchr::memchr(first, ahead)
            };
            match step {
                None => {
                    length = rest.len();
                    break;
                }
                Some(n) => {
                    length += n;
                    if self.ends_field(&rest[length..]) {
                        break;
                    }
                    length += 1;
                }
            }
        }
        let end = cursor.at + length;
        // A delimiter of several bytes may begin inside a character's bytes: never split those.
        fields.text.push_str(cursor.text.get(cursor.at..end).unwrap_or_default());
        cursor.at = end;
        if self.trim_trailing {
            let trimmed = fields.text[value_start..].trim_end_matches(|c: char| c <= ' ').len();
            fields.text.truncate(value_start + trimmed);
        }
    }

    fn quoted(&self, cursor: &mut Cursor, fields: &mut Fields) -> Result<Kind> {
        let value_start = fields.text.len();
        cursor.at += self.quote.len_utf8();
        loop {
            let text = &cursor.text[cursor.at..];
            let run = text.find([self.quote, self.escape, self.escape_escape]).unwrap_or(text.len());
            fields.text.push_str(&text[..run]);
            cursor.at += run;
            let mut chars = text[run..].chars();
            let Some(c) = chars.next() else {
                // The quote was never closed: the value is what there was.
                return Ok(Kind::Quoted);
            };
            let next = chars.next();
            if c == self.escape_escape && c != '\0' && next == Some(self.escape) && self.escape != self.quote
            {
                fields.text.push(self.escape);
                cursor.at += c.len_utf8() + self.escape.len_utf8();
            } else if c == self.escape && next == Some(self.quote) {
                fields.text.push(self.quote);
                cursor.at += c.len_utf8() + self.quote.len_utf8();
            } else if c != self.quote {
                fields.text.push(c);
                cursor.at += c.len_utf8();
            } else {
                cursor.at += c.len_utf8();
                let blanks = self.blanks(cursor.rest());
                if self.ends_field(&cursor.rest()[blanks..]) {
                    cursor.at += blanks;
                    return Ok(Kind::Quoted);
                }
                match self.unescaped {
                    UnescapedQuote::StopAtDelimiter => {
                        fields.text.insert(value_start, self.quote);
                        fields.text.push(self.quote);
                        self.bare(cursor, fields, value_start);
                        return Ok(Kind::Bare);
                    }
                    UnescapedQuote::StopAtClosingQuote => fields.text.push(self.quote),
                    UnescapedQuote::BackToDelimiter => {}
                    UnescapedQuote::SkipValue => {
                        self.bare(cursor, fields, value_start);
                        fields.text.truncate(value_start);
                        return Ok(Kind::Skipped);
                    }
                    UnescapedQuote::RaiseError => {
                        let shown: String = fields.text[value_start..].chars().take(100).collect();
                        return Err(Error::new("MALFORMED_CSV_RECORD").param("badRecord", &shown).message(
                            format!("A quoted CSV value has a quote that is not escaped, behind '{shown}'."),
                        ));
                    }
                }
            }
        }
    }
}

fn too_big(what: String) -> Error {
    Error::new("MALFORMED_CSV_RECORD").param("badRecord", "").message(format!("A CSV record has {what}."))
}

/// Whether a line has no record: it is blank, or a comment.
pub fn is_filler(line: &str, options: &Options) -> bool {
    // Java's `trim`: everything up to the space.
    line.chars().all(|c| c <= ' ') || options.comment.is_some_and(|c| line.starts_with(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, options: &Options) -> Vec<String> {
        let mut fields = Fields::default();
        Tokenizer::new(options, false).record(text, 0, &mut fields).unwrap();
        (0..fields.len()).map(|i| fields.value(i, options).unwrap_or("NULL").to_string()).collect()
    }

    #[test]
    fn quotes_are_sparks() {
        let options = Options::default();
        for (text, expected) in [
            (r#"4,,"""#, vec!["4", "NULL", "NULL"]),
            (r#""x","y ""z""","q\"r""#, vec!["x", r#""y ""z""""#, "q\"r"]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#""a""b",c"#, vec![r#""a""b""#, "c"]),
            (r#""a\\",c"#, vec!["a\\", "c"]),
            (r#""a\n",c"#, vec!["a\\n", "c"]),
            (r#"a"b,c"#, vec!["a\"b", "c"]),
            (r#""a"b,c"#, vec!["\"a\"b", "c"]),
            (r#""a" ,c"#, vec!["a", "c"]),
            (r#" "a",c"#, vec![" \"a\"", "c"]),
            (r#""a,c"#, vec!["a,c"]),
            (r#"a\,b,c"#, vec!["a\\", "b", "c"]),
            (r#"a\"b,c"#, vec!["a\\\"b", "c"]),
            (r#""x\y",z"#, vec!["x\\y", "z"]),
            (r#""x\\y",z"#, vec!["x\\y", "z"]),
            (r#"a\\b,c\"d""#, vec!["a\\\\b", "c\\\"d\""]),
        ] {
            assert_eq!(split(text, &options), expected, "{text}");
        }
        let doubled = Options { escape: '"', ..Options::default() };
        assert_eq!(split(r#""a""b","a\","""""#, &doubled), ["a\"b", "a\\", "\""]);
        let piped = Options { escape_escape: Some('|'), ..Options::default() };
        assert_eq!(split(r#""a\\",b"#, &piped), [r#"a\",b"#]);
        assert_eq!(split(r#""a|\"x",b"#, &piped), [r#""a\"x""#, "b"]);
    }

    #[test]
    fn blanks_and_delimiters() {
        let trimmed = Options { trim_leading: true, trim_trailing: true, ..Options::default() };
        assert_eq!(split(" a , b ,\"  c  \"", &trimmed), ["a", "b", "  c  "]);
        assert_eq!(split("  \"a b\"  , b ,\"c\"x", &trimmed), ["a b", "b", "\"c\"x"]);
        let two = Options { delimiter: "||".into(), ..Options::default() };
        assert_eq!(split("a||b|c||", &two), ["a", "b|c", "NULL"]);
        assert_eq!(split("é,中", &Options::default()), ["é", "中"]);
    }

    #[test]
    fn unescaped_quotes_have_their_handlings() {
        let with = |unescaped_quote| Options { unescaped_quote, ..Options::default() };
        assert_eq!(split(r#""e"f,g,h"#, &with(UnescapedQuote::StopAtClosingQuote)), ["e\"f,g,h"]);
        assert_eq!(split(r#""a"b","x""#, &with(UnescapedQuote::StopAtClosingQuote)), ["a\"b", "x"]);
        assert_eq!(split(r#""e"f,g,h"#, &with(UnescapedQuote::BackToDelimiter)), ["ef,g,h"]);
        assert_eq!(split(r#""e"f,g,h"#, &with(UnescapedQuote::SkipValue)), ["NULL", "g", "h"]);
        let raise = with(UnescapedQuote::RaiseError);
        assert!(Tokenizer::new(&raise, false).record(r#""e"f"#, 0, &mut Fields::default()).is_err());
    }

    #[test]
    fn what_stands_for_null() {
        let nulls = Options { null_value: "NULL".into(), ..Options::default() };
        let mut fields = Fields::default();
        Tokenizer::new(&nulls, false).record("a,NULL,\"NULL\",\"\",", 0, &mut fields).unwrap();
        let values: Vec<_> = (0..5).map(|i| fields.value(i, &nulls)).collect();
        assert_eq!(values, [Some("a"), None, None, Some(""), None]);
        let empties = Options { empty_value: "E".into(), ..Options::default() };
        assert_eq!(split("a,\"\",,x", &empties), ["a", "E", "NULL", "x"]);
    }

    #[test]
    fn limits_hold() {
        let few = Options { max_columns: 2, max_chars_per_column: 3, ..Options::default() };
        let t = Tokenizer::new(&few, false);
        assert!(t.record("a,b,c", 0, &mut Fields::default()).is_err());
        assert!(t.record("abcd", 0, &mut Fields::default()).is_err());
    }
}
