//! XML texts as trees. No DTDs but their entities of plain text, no external entities, and no recursion.

use std::collections::{HashMap, HashSet};

/// How deep elements may nest.
const MAX_DEPTH: usize = 1000;

/// A tree of nodes in the order of the text; the first is the root.
#[derive(Debug, Default)]
pub struct Document {
    pub nodes: Vec<Node>,
    /// The elements whose own text refers to entities that are not expanded.
    referring: HashSet<usize>,
    /// Those, and all around them.
    unexpanded: HashSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Root,
    Element,
    Attribute,
    Text,
    Comment,
    Instruction,
}

#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    pub name: String,
    pub value: String,
    /// The node it is in (of an attribute its element).
    pub parent: usize,
    pub children: Vec<usize>,
    pub attributes: Vec<usize>,
}

impl Document {
    /// Reads a text; `None` where it is not well-formed. What follows the root element is looked at only where `whole`,
    /// and only there a DTD's entities are known: elsewhere text that refers to one is left out, and noted.
    pub fn parse(text: &str, whole: bool) -> Option<Self> {
        let mut reader = Reader {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: 0,
            document: Document::default(),
            open: vec![0],
            entities: whole.then(HashMap::new),
        };
        reader.document.nodes.push(Node::new(Kind::Root, String::new(), String::new(), 0));
        reader.run(whole)?;
        Some(reader.document)
    }

    /// The outermost element.
    pub fn element(&self) -> Option<usize> {
        self.nodes.first()?.children.iter().copied().find(|c| self.nodes[*c].kind == Kind::Element)
    }

    /// Whether an element's own text refers to an entity that is not expanded.
    pub fn has_unexpanded_text(&self, element: usize) -> bool {
        self.referring.contains(&element)
    }

    /// Whether an element, or one within it, refers to an entity that is not expanded.
    pub fn is_unexpanded(&self, element: usize) -> bool {
        self.unexpanded.contains(&element)
    }

    /// All text within a node.
    pub fn text(&self, node: usize) -> String {
        let mut out = String::new();
        let mut left = vec![node];
        while let Some(node) = left.pop() {
            let n = &self.nodes[node];
            match n.kind {
                Kind::Root | Kind::Element => left.extend(
                    n.children
                        .iter()
                        .rev()
                        .filter(|c| matches!(self.nodes[**c].kind, Kind::Element | Kind::Text)),
                ),
                _ => out.push_str(&n.value),
            }
        }
        out
    }
}

impl Node {
    fn new(kind: Kind, name: String, value: String, parent: usize) -> Self {
        Self { kind, name, value, parent, children: Vec::new(), attributes: Vec::new() }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    document: Document,
    /// The open nodes, the root first.
    open: Vec<usize>,
    /// What the DTD says that names stand for; none where its entities are not taken.
    entities: Option<HashMap<String, String>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn until(&mut self, end: &str) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(end)?;
        self.at += length + end.len();
        Some(&rest[..length])
    }

    fn space(&mut self) -> bool {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.at += length;
        length > 0
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest();
        let start = |c: char| c.is_alphabetic() || c == '_' || c == ':';
        let inside =
            |c: char| start(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | '\u{b7}') || c.is_numeric();
        if !rest.starts_with(start) {
            return None;
        }
        let length = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        self.at += length;
        Some(rest[..length].to_string())
    }

    fn add(&mut self, node: Node) -> usize {
        let id = self.document.nodes.len();
        self.document.nodes[node.parent].children.push(id);
        self.document.nodes.push(node);
        id
    }

    fn parent(&self) -> usize {
        self.open.last().copied().unwrap_or(0)
    }

    fn run(&mut self, whole: bool) -> Option<()> {
        self.space();
        loop {
            let inside = self.open.len() > 1;
            if !inside && self.document.element().is_some() && !whole {
                return Some(());
            }
            if self.rest().is_empty() {
                return (!inside && self.document.element().is_some()).then_some(());
            }
            if self.eat("<!--") {
                let text = self.until("-->")?.to_string();
                let parent = self.parent();
                self.add(Node::new(Kind::Comment, String::new(), text, parent));
            } else if self.eat("<?") {
                let name = self.name()?;
                let value = self.until("?>")?.trim_start().to_string();
                if !name.eq_ignore_ascii_case("xml") {
                    let parent = self.parent();
                    self.add(Node::new(Kind::Instruction, name, value, parent));
                }
            } else if self.eat("<![CDATA[") {
                if !inside {
                    return None;
                }
                let text = self.until("]]>")?.to_string();
                self.push_text(&text);
            } else if self.eat("<!DOCTYPE") {
                if inside || self.document.element().is_some() {
                    return None;
                }
                self.doctype()?;
            } else if self.eat("</") {
                let name = self.name()?;
                self.space();
                if !self.eat(">") || !inside || self.document.nodes[self.parent()].name != name {
                    return None;
                }
                self.open.pop();
            } else if self.rest().starts_with('<') {
                if !inside && self.document.element().is_some() {
                    return None;
                }
                self.at += 1;
                self.start_tag()?;
            } else {
                let rest = self.rest();
                let raw = &rest[..rest.find('<').unwrap_or(rest.len())];
                self.at += raw.len();
                if inside {
                    match self.unescape(raw) {
                        Some(text) => self.push_text(&text),
                        None if self.entities.is_none() && refers_to_names(raw) => {
                            let parent = self.parent();
                            self.document.referring.insert(parent);
                            self.document.unexpanded.extend(self.open.iter().copied());
                        }
                        None => return None,
                    }
                } else if !raw.trim().is_empty() {
                    return None;
                }
            }
        }
    }

    /// Text right behind text is one.
    fn push_text(&mut self, text: &str) {
        let parent = self.parent();
        if let Some(last) = self.document.nodes[parent].children.last().copied()
            && self.document.nodes[last].kind == Kind::Text
        {
            self.document.nodes[last].value.push_str(text);
            return;
        }
        self.add(Node::new(Kind::Text, String::new(), text.to_string(), parent));
    }

    fn start_tag(&mut self) -> Option<()> {
        if self.open.len() > MAX_DEPTH {
            return None;
        }
        let name = self.name()?;
        let parent = self.parent();
        let element = self.add(Node::new(Kind::Element, name, String::new(), parent));
        loop {
            let spaced = self.space();
            if self.eat("/>") {
                return Some(());
            }
            if self.eat(">") {
                self.open.push(element);
                return Some(());
            }
            if !spaced {
                return None;
            }
            let name = self.name()?;
            self.space();
            if !self.eat("=") {
                return None;
            }
            self.space();
            let quote = if self.eat("\"") { "\"" } else { self.eat("'").then_some("'")? };
            let raw = self.until(quote)?;
            if raw.contains('<') {
                return None;
            }
            let value = self.unescape(&raw.replace(['\t', '\n', '\r'], " "))?;
            let twice =
                self.document.nodes[element].attributes.iter().any(|a| self.document.nodes[*a].name == name);
            if twice {
                return None;
            }
            let id = self.document.nodes.len();
            self.document.nodes.push(Node::new(Kind::Attribute, name, value, element));
            self.document.nodes[element].attributes.push(id);
        }
    }

    /// Entities of plain text are kept; whatever else a DTD says is not looked at.
    fn doctype(&mut self) -> Option<()> {
        let rest = self.rest();
        let end = rest.find(['[', '>'])?;
        self.at += end + 1;
        if rest.as_bytes()[end] == b'>' {
            return Some(());
        }
        let subset = self.until("]")?;
        if let Some(entities) = &mut self.entities {
            declare(subset, entities)?;
        }
        self.space();
        self.eat(">").then_some(())
    }

    fn unescape(&self, raw: &str) -> Option<String> {
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find('&') {
            out.push_str(&rest[..at]);
            let (entity, after) = rest[at + 1..].split_once(';')?;
            match entity {
                "lt" => out.push('<'),
                "gt" => out.push('>'),
                "amp" => out.push('&'),
                "quot" => out.push('"'),
                "apos" => out.push('\''),
                _ => match entity.strip_prefix('#') {
                    Some(number) => {
                        let code = match number.strip_prefix('x') {
                            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                            None => number.parse().ok()?,
                        };
                        out.push(char::from_u32(code)?);
                    }
                    None => out.push_str(self.entities.as_ref()?.get(entity)?),
                },
            }
            rest = after;
        }
        out.push_str(rest);
        // Lines end with one character, whatever the file has.
        Some(if out.contains('\r') { out.replace("\r\n", "\n").replace('\r', "\n") } else { out })
    }
}

/// Whether everything that `&` begins in a text is a reference by a name or a number.
fn refers_to_names(raw: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | ':' | '#'))
            && !name.contains(char::is_whitespace)
    };
    raw.split('&').skip(1).all(|rest| rest.split_once(';').is_some_and(|(name, _)| is_name(name)))
}

/// Keeps the entities of a DTD's subset.
fn declare(subset: &str, entities: &mut HashMap<String, String>) -> Option<()> {
    for declaration in subset.split("<!ENTITY").skip(1) {
        let mut words = declaration.trim_start().splitn(2, char::is_whitespace);
        let (name, value) = (words.next()?, words.next()?.trim_start());
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let value = value[1..].split(quote).next()?;
        if value.contains(['<', '&']) || value.len() > 1000 {
            return None;
        }
        entities.insert(name.to_string(), value.to_string());
    }
    Some(())
}
