//! A reader of JSON that keeps numbers as they are written: a decimal of 38 digits must not pass through a double.

use std::borrow::Cow;

/// Nesting beyond this is no statistics we read.
const MAX_DEPTH: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List,
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Node::Object(members) => members.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Node::Number(n) => n.parse().ok(),
            _ => None,
        }
    }
}

/// The value of a text; `None` where it is no JSON. (Statistics are an aid: damaged ones are none.)
pub(crate) fn parse(text: &str) -> Option<Node<'_>> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(0)?;
    reader.blank();
    (reader.at == text.len()).then_some(node)
}

/// Hands each member of an object to `take`, which reads its value; `None` where the text is no object, or `take` fails.
pub(crate) fn members<'a>(
    text: &'a str,
    mut take: impl FnMut(&str, &mut Reader<'a>) -> Option<()>,
) -> Option<()> {
    let mut reader = Reader { text, at: 0 };
    reader.blank();
    (reader.peek() == Some(b'{')).then_some(())?;
    reader.each(&mut take)?;
    reader.blank();
    (reader.at == text.len()).then_some(())
}

pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Option<Node<'a>> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            node
        })
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.blank();
        match self.peek()? {
            b'n' => self.word("null", Node::Null),
            b't' => self.word("true", Node::Boolean(true)),
            b'f' => self.word("false", Node::Boolean(false)),
            b'"' => self.string().map(Node::Text),
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            _ => self.number(),
        }
    }

    /// A value of which only texts, numbers and the like are wanted: what is in lists and objects is passed over.
    pub fn leaf(&mut self) -> Option<Node<'a>> {
        self.blank();
        match self.peek()? {
            b'{' | b'[' => self.skip().map(|()| Node::Null),
            _ => self.value(0),
        }
    }

    /// Passes over a value.
    pub fn skip(&mut self) -> Option<()> {
        self.value(0).map(|_| ())
    }

    /// Hands each member of the object that comes next to `take`, which reads its value. Another value is passed over.
    pub fn each(&mut self, mut take: impl FnMut(&str, &mut Self) -> Option<()>) -> Option<()> {
        self.blank();
        if self.peek()? != b'{' {
            return self.skip();
        }
        self.take(b'{')?;
        self.blank();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.blank();
            let key = self.string()?;
            self.blank();
            self.take(b':')?;
            take(&key, self)?;
            self.blank();
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn number(&mut self) -> Option<Node<'a>> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        (self.at > start).then(|| Node::Number(&self.text[start..self.at]))
    }

    fn object(&mut self, depth: usize) -> Option<Node<'a>> {
        self.take(b'{')?;
        let mut members = Vec::new();
        self.blank();
        if self.take(b'}').is_some() {
            return Some(Node::Object(members));
        }
        loop {
            self.blank();
            let key = self.string()?;
            self.blank();
            self.take(b':')?;
            members.push((key, self.value(depth + 1)?));
            self.blank();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Node::Object(members));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Node<'a>> {
        self.take(b'[')?;
        self.blank();
        if self.take(b']').is_some() {
            return Some(Node::List);
        }
        loop {
            self.value(depth + 1)?;
            self.blank();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Node::List);
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at)?;
        let inner = &quoted[1..quoted.len() - 1];
        if inner.contains('\\') {
            serde_json::from_str::<String>(quoted).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"numRecords":3,"minValues":{"a":12345678901234567890.1234567890,"s":"x\"\u00e9"},"n":null,"l":[1,{"a":2}]}"#;
        let root = parse(text).unwrap();
        assert_eq!(root.get("numRecords").unwrap().as_i64(), Some(3));
        let min = root.get("minValues").unwrap();
        assert_eq!(min.get("a"), Some(&Node::Number("12345678901234567890.1234567890")));
        assert_eq!(min.get("s"), Some(&Node::Text("x\"é".into())));
        assert_eq!(root.get("l"), Some(&Node::List));
    }

    #[test]
    fn damaged_text_is_none() {
        for text in ["", "{", "{\"a\"", "{\"a\":}", "\"\\", "[1,", "{}x", &"[".repeat(100_000)] {
            assert_eq!(parse(text), None, "{}", &text[..text.len().min(10)]);
        }
    }
}
