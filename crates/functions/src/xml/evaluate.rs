//! XPath 1.0 evaluated on a document.

use boathouse_formats::xml::{Document, Kind};

use super::expression::{Axis, Expression, From, Function, Operator, Step, Test};

/// The value of an expression; `None` where nodes were wanted and there are none to be had.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nodes in the order of the document.
    Nodes(Vec<usize>),
    Number(f64),
    Text(String),
    Boolean(bool),
}

#[derive(Clone, Copy)]
struct Place {
    node: usize,
    position: usize,
    size: usize,
}

/// Evaluates an expression at the root of a document.
pub(super) fn evaluate(document: &Document, expression: &Expression) -> Option<Value> {
    Evaluator { document }.value(expression, Place { node: 0, position: 1, size: 1 })
}

/// The text of a value.
pub(super) fn text_of(document: &Document, value: &Value) -> String {
    match value {
        Value::Nodes(nodes) => nodes.first().map(|n| document.text(*n)).unwrap_or_default(),
        Value::Number(n) => number_text(*n),
        Value::Text(t) => t.clone(),
        Value::Boolean(b) => b.to_string(),
    }
}

pub(super) fn number_of(document: &Document, value: &Value) -> f64 {
    match value {
        Value::Number(n) => *n,
        Value::Boolean(b) => f64::from(u8::from(*b)),
        other => parse_number(&text_of(document, other)),
    }
}

pub(super) fn boolean_of(value: &Value) -> bool {
    match value {
        Value::Nodes(nodes) => !nodes.is_empty(),
        Value::Number(n) => *n != 0.0 && !n.is_nan(),
        Value::Text(t) => !t.is_empty(),
        Value::Boolean(b) => *b,
    }
}

/// Digits with a point and maybe a minus; anything else is no number.
fn parse_number(text: &str) -> f64 {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.bytes().any(|b| b.is_ascii_digit());
    if plain { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}

fn number_text(n: f64) -> String {
    if n.is_nan() {
        "NaN".into()
    } else if n.is_infinite() {
        if n > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        // Never an exponent, and whole numbers without a point.
        format!("{}", if n == 0.0 { 0.0 } else { n })
    }
}

struct Evaluator<'d> {
    document: &'d Document,
}

impl Evaluator<'_> {
    fn value(&self, expression: &Expression, at: Place) -> Option<Value> {
        Some(match expression {
            Expression::Number(n) => Value::Number(*n),
            Expression::Text(t) => Value::Text(t.clone()),
            Expression::Negate(inner) => Value::Number(-self.number(inner, at)?),
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right, at)?,
            Expression::Call(function, args) => self.call(*function, args, at)?,
            Expression::Filter(inner, predicates) => {
                let mut nodes = self.nodes(inner, at)?;
                for predicate in predicates {
                    nodes = self.filter(nodes, predicate)?;
                }
                Value::Nodes(nodes)
            }
            Expression::Path { from, steps } => {
                let mut nodes = match from {
                    From::Root => vec![0],
                    From::Context => vec![at.node],
                    From::Nodes(inner) => self.nodes(inner, at)?,
                };
                for step in steps {
                    nodes = self.step(&nodes, step)?;
                }
                Value::Nodes(nodes)
            }
        })
    }

    fn nodes(&self, expression: &Expression, at: Place) -> Option<Vec<usize>> {
        match self.value(expression, at)? {
            Value::Nodes(nodes) => Some(nodes),
            _ => None,
        }
    }

    fn number(&self, expression: &Expression, at: Place) -> Option<f64> {
        Some(number_of(self.document, &self.value(expression, at)?))
    }

    fn text(&self, expression: &Expression, at: Place) -> Option<String> {
        Some(text_of(self.document, &self.value(expression, at)?))
    }

    fn filter(&self, nodes: Vec<usize>, predicate: &Expression) -> Option<Vec<usize>> {
        let size = nodes.len();
        let mut out = Vec::new();
        for (i, node) in nodes.into_iter().enumerate() {
            let place = Place { node, position: i + 1, size };
            let keep = match self.value(predicate, place)? {
                Value::Number(n) => n == place.position as f64,
                other => boolean_of(&other),
            };
            if keep {
                out.push(node);
            }
        }
        Some(out)
    }

    fn step(&self, nodes: &[usize], step: &Step) -> Option<Vec<usize>> {
        let mut out = Vec::new();
        for node in nodes {
            let mut found: Vec<usize> =
                self.axis(*node, step.axis).into_iter().filter(|n| self.passes(*n, step)).collect();
            for predicate in &step.predicates {
                found = self.filter(found, predicate)?;
            }
            out.extend(found);
        }
        out.sort_unstable();
        out.dedup();
        Some(out)
    }

    fn passes(&self, node: usize, step: &Step) -> bool {
        let node = &self.document.nodes[node];
        let principal = if step.axis == Axis::Attribute { Kind::Attribute } else { Kind::Element };
        match &step.test {
            Test::Node => true,
            Test::Text => node.kind == Kind::Text,
            Test::Comment => node.kind == Kind::Comment,
            Test::Instruction => node.kind == Kind::Instruction,
            Test::AnyName => node.kind == principal,
            // Without namespaces given, a prefixed name matches nothing.
            Test::Name(name) => node.kind == principal && !name.contains(':') && node.name == *name,
            Test::Prefix(_) => false,
        }
    }

    /// The nodes of an axis, the nearest first.
    fn axis(&self, node: usize, axis: Axis) -> Vec<usize> {
        let nodes = &self.document.nodes;
        let ancestors = |from: usize| {
            let mut out = Vec::new();
            let mut at = from;
            while at != 0 {
                at = nodes[at].parent;
                out.push(at);
            }
            out
        };
        let descendants = |from: usize| {
            let mut out = Vec::new();
            let mut left: Vec<usize> = nodes[from].children.iter().rev().copied().collect();
            while let Some(at) = left.pop() {
                out.push(at);
                left.extend(nodes[at].children.iter().rev());
            }
            out
        };
        let siblings = |after: bool| {
            let all = &nodes[nodes[node].parent].children;
            match all.iter().position(|n| *n == node).filter(|_| node != 0) {
                None => Vec::new(),
                Some(i) if after => all[i + 1..].to_vec(),
                Some(i) => all[..i].iter().rev().copied().collect(),
            }
        };
        match axis {
            Axis::Itself => vec![node],
            Axis::Child => nodes[node].children.clone(),
            Axis::Attribute => nodes[node].attributes.clone(),
            Axis::Parent => {
                if node == 0 {
                    Vec::new()
                } else {
                    vec![nodes[node].parent]
                }
            }
            Axis::Ancestor => ancestors(node),
            Axis::AncestorOrSelf => [vec![node], ancestors(node)].concat(),
            Axis::Descendant => descendants(node),
            Axis::DescendantOrSelf => [vec![node], descendants(node)].concat(),
            Axis::FollowingSibling => siblings(true),
            Axis::PrecedingSibling => siblings(false),
            Axis::Following => {
                let inside = descendants(node);
                let last = inside.last().copied().unwrap_or(node);
                (last + 1..nodes.len()).filter(|n| nodes[*n].kind != Kind::Attribute).collect()
            }
            Axis::Preceding => {
                let above = ancestors(node);
                (1..node).rev().filter(|n| nodes[*n].kind != Kind::Attribute && !above.contains(n)).collect()
            }
        }
    }

    fn binary(&self, operator: Operator, left: &Expression, right: &Expression, at: Place) -> Option<Value> {
        Some(match operator {
            Operator::Or => {
                Value::Boolean(boolean_of(&self.value(left, at)?) || boolean_of(&self.value(right, at)?))
            }
            Operator::And => {
                Value::Boolean(boolean_of(&self.value(left, at)?) && boolean_of(&self.value(right, at)?))
            }
            Operator::Union => {
                let mut nodes = self.nodes(left, at)?;
                nodes.extend(self.nodes(right, at)?);
                nodes.sort_unstable();
                nodes.dedup();
                Value::Nodes(nodes)
            }
            Operator::Add => Value::Number(self.number(left, at)? + self.number(right, at)?),
            Operator::Subtract => Value::Number(self.number(left, at)? - self.number(right, at)?),
            Operator::Multiply => Value::Number(self.number(left, at)? * self.number(right, at)?),
            Operator::Divide => Value::Number(self.number(left, at)? / self.number(right, at)?),
            Operator::Modulo => Value::Number(self.number(left, at)? % self.number(right, at)?),
            _ => Value::Boolean(self.compare(operator, &self.value(left, at)?, &self.value(right, at)?)),
        })
    }

    /// Of nodes, whether the comparison holds for any of them.
    fn compare(&self, operator: Operator, left: &Value, right: &Value) -> bool {
        let texts =
            |nodes: &[usize]| nodes.iter().map(|n| Value::Text(self.document.text(*n))).collect::<Vec<_>>();
        match (left, right) {
            (Value::Nodes(_), Value::Boolean(_)) | (Value::Boolean(_), Value::Nodes(_)) => {
                self.compare(operator, &Value::Boolean(boolean_of(left)), &Value::Boolean(boolean_of(right)))
            }
            (Value::Nodes(nodes), _) => texts(nodes).iter().any(|l| self.compare(operator, l, right)),
            (_, Value::Nodes(nodes)) => texts(nodes).iter().any(|r| self.compare(operator, left, r)),
            _ => match operator {
                Operator::Equal | Operator::NotEqual => {
                    let equal = match (left, right) {
                        (Value::Boolean(_), _) | (_, Value::Boolean(_)) => {
                            boolean_of(left) == boolean_of(right)
                        }
                        (Value::Number(_), _) | (_, Value::Number(_)) => {
                            number_of(self.document, left) == number_of(self.document, right)
                        }
                        _ => text_of(self.document, left) == text_of(self.document, right),
                    };
                    equal == (operator == Operator::Equal)
                }
                _ => {
                    let (l, r) = (number_of(self.document, left), number_of(self.document, right));
                    match operator {
                        Operator::Less => l < r,
                        Operator::LessOrEqual => l <= r,
                        Operator::Greater => l > r,
                        _ => l >= r,
                    }
                }
            },
        }
    }

    fn call(&self, function: Function, args: &[Expression], at: Place) -> Option<Value> {
        let text = |i: usize| match args.get(i) {
            Some(arg) => self.text(arg, at),
            None => Some(self.document.text(at.node)),
        };
        let number = |i: usize| self.number(args.get(i)?, at);
        let nodes = |i: usize| match args.get(i) {
            Some(arg) => self.nodes(arg, at),
            None => Some(vec![at.node]),
        };
        Some(match function {
            Function::Last => Value::Number(at.size as f64),
            Function::Position => Value::Number(at.position as f64),
            Function::Count => Value::Number(nodes(0)?.len() as f64),
            Function::Name | Function::LocalName => {
                let name =
                    nodes(0)?.first().map(|n| self.document.nodes[*n].name.clone()).unwrap_or_default();
                Value::Text(match function {
                    Function::LocalName => name.rsplit(':').next().unwrap_or_default().to_string(),
                    _ => name,
                })
            }
            Function::String => Value::Text(text(0)?),
            Function::Concat => Value::Text((0..args.len()).map(text).collect::<Option<Vec<_>>>()?.concat()),
            Function::StartsWith => Value::Boolean(text(0)?.starts_with(&text(1)?)),
            Function::Contains => Value::Boolean(text(0)?.contains(&text(1)?)),
            Function::SubstringBefore => {
                let (all, part) = (text(0)?, text(1)?);
                Value::Text(all.split_once(part.as_str()).map(|(b, _)| b.to_string()).unwrap_or_default())
            }
            Function::SubstringAfter => {
                let (all, part) = (text(0)?, text(1)?);
                Value::Text(all.split_once(part.as_str()).map(|(_, a)| a.to_string()).unwrap_or_default())
            }
            Function::Substring => {
                let from = round(number(1)?);
                let until = if args.len() > 2 { from + round(number(2)?) } else { f64::INFINITY };
                let inside = |i: usize| (i as f64 + 1.0) >= from && (i as f64 + 1.0) < until;
                Value::Text(
                    text(0)?.chars().enumerate().filter(|(i, _)| inside(*i)).map(|(_, c)| c).collect(),
                )
            }
            Function::StringLength => Value::Number(text(0)?.chars().count() as f64),
            Function::NormalizeSpace => Value::Text(
                text(0)?
                    .split([' ', '\t', '\n', '\r'])
                    .filter(|w| !w.is_empty())
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            Function::Translate => {
                let (from, to): (Vec<char>, Vec<char>) =
                    (text(1)?.chars().collect(), text(2)?.chars().collect());
                let swap = |c: char| match from.iter().position(|f| *f == c) {
                    Some(i) => to.get(i).copied(),
                    None => Some(c),
                };
                Value::Text(text(0)?.chars().filter_map(swap).collect())
            }
            Function::Boolean => Value::Boolean(boolean_of(&self.value(args.first()?, at)?)),
            Function::Not => Value::Boolean(!boolean_of(&self.value(args.first()?, at)?)),
            Function::True => Value::Boolean(true),
            Function::False => Value::Boolean(false),
            Function::Number => Value::Number(match args.first() {
                Some(arg) => self.number(arg, at)?,
                None => parse_number(&self.document.text(at.node)),
            }),
            Function::Sum => {
                Value::Number(nodes(0)?.iter().map(|n| parse_number(&self.document.text(*n))).sum())
            }
            Function::Floor => Value::Number(number(0)?.floor()),
            Function::Ceiling => Value::Number(number(0)?.ceil()),
            Function::Round => Value::Number(round(number(0)?)),
        })
    }
}

/// Halves go up.
fn round(n: f64) -> f64 {
    (n + 0.5).floor()
}
