//! XPath 1.0 expressions as trees.

/// How deep expressions may nest.
const MAX_DEPTH: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Text(String),
    Call(Function, Vec<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Negate(Box<Expression>),
    /// Steps from the root, from the context or from the nodes of another expression.
    Path {
        from: From,
        steps: Vec<Step>,
    },
    /// Nodes of an expression that pass predicates.
    Filter(Box<Expression>, Vec<Expression>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum From {
    Root,
    Context,
    Nodes(Box<Expression>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub axis: Axis,
    pub test: Test,
    pub predicates: Vec<Expression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Ancestor,
    AncestorOrSelf,
    Attribute,
    Child,
    Descendant,
    DescendantOrSelf,
    Following,
    FollowingSibling,
    Parent,
    Preceding,
    PrecedingSibling,
    Itself,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Name(String),
    AnyName,
    /// `prefix:*`
    Prefix(String),
    Node,
    Text,
    Comment,
    Instruction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Union,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Last,
    Position,
    Count,
    LocalName,
    Name,
    String,
    Concat,
    StartsWith,
    Contains,
    SubstringBefore,
    SubstringAfter,
    Substring,
    StringLength,
    NormalizeSpace,
    Translate,
    Boolean,
    Not,
    True,
    False,
    Number,
    Sum,
    Floor,
    Ceiling,
    Round,
}

impl Function {
    /// The function of a name, and how many arguments it takes.
    fn of(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
        Some(match name {
            "last" => (Self::Last, 0..=0),
            "position" => (Self::Position, 0..=0),
            "count" => (Self::Count, 1..=1),
            "local-name" => (Self::LocalName, 0..=1),
            "name" => (Self::Name, 0..=1),
            "string" => (Self::String, 0..=1),
            "concat" => (Self::Concat, 2..=1000),
            "starts-with" => (Self::StartsWith, 2..=2),
            "contains" => (Self::Contains, 2..=2),
            "substring-before" => (Self::SubstringBefore, 2..=2),
            "substring-after" => (Self::SubstringAfter, 2..=2),
            "substring" => (Self::Substring, 2..=3),
            "string-length" => (Self::StringLength, 0..=1),
            "normalize-space" => (Self::NormalizeSpace, 0..=1),
            "translate" => (Self::Translate, 3..=3),
            "boolean" => (Self::Boolean, 1..=1),
            "not" => (Self::Not, 1..=1),
            "true" => (Self::True, 0..=0),
            "false" => (Self::False, 0..=0),
            "number" => (Self::Number, 0..=1),
            "sum" => (Self::Sum, 1..=1),
            "floor" => (Self::Floor, 1..=1),
            "ceiling" => (Self::Ceiling, 1..=1),
            "round" => (Self::Round, 1..=1),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Name(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 22] = [
    "::", "//", "..", "!=", "<=", ">=", "(", ")", "[", "]", "@", ",", "/", "|", "+", "-", "=", "<", ">", "*",
    ".", "$",
];

/// Reads an expression; `None` where it is none.
pub(super) fn parse(text: &str) -> Option<Expression> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expression = parser.binary(0)?;
    (parser.at == parser.tokens.len()).then_some(expression)
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let length =
            if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|d: char| d.is_ascii_digit())) {
                let end = rest.find(|d: char| !(d.is_ascii_digit() || d == '.')).unwrap_or(rest.len());
                out.push(Token::Number(rest[..end].parse().ok()?));
                end
            } else if c == '"' || c == '\'' {
                let end = rest[1..].find(c)?;
                out.push(Token::Text(rest[1..=end].to_string()));
                end + 2
            } else if c.is_alphabetic() || c == '_' {
                let inside = |d: char| d.is_alphanumeric() || matches!(d, '_' | '-' | '.');
                let mut end = rest.find(|d| !inside(d)).unwrap_or(rest.len());
                // A prefixed name, but not an axis.
                if let Some(local) = rest[end..].strip_prefix(':')
                    && local.starts_with(|d: char| d.is_alphabetic() || d == '_')
                {
                    end += 1 + local.find(|d| !inside(d)).unwrap_or(local.len());
                } else if rest[end..].starts_with(":*") {
                    end += 2;
                }
                out.push(Token::Name(rest[..end].to_string()));
                end
            } else {
                let symbol = SYMBOLS.iter().find(|s| rest.starts_with(**s))?;
                out.push(Token::Symbol(symbol));
                symbol.len()
            };
        rest = rest[length..].trim_start();
    }
    Some(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Operators from the loosest to the tightest.
const LEVELS: [&[(&str, Operator)]; 7] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[("=", Operator::Equal), ("!=", Operator::NotEqual)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("div", Operator::Divide), ("mod", Operator::Modulo)],
    &[("|", Operator::Union)],
];

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    /// An operator of a level. Names count as operators where an operand has just ended.
    fn operator(&mut self, level: usize) -> Option<Operator> {
        let token = self.peek()?;
        let found = LEVELS.get(level)?.iter().find(|(text, _)| match token {
            Token::Symbol(s) => s == text,
            Token::Name(n) => n == text,
            _ => false,
        })?;
        self.at += 1;
        Some(found.1)
    }

    fn binary(&mut self, level: usize) -> Option<Expression> {
        if level == LEVELS.len() - 1 {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(level) {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression> {
        let mut negative = false;
        let mut signs = 0;
        while self.eat("-") {
            negative = !negative;
            signs += 1;
        }
        let mut left = self.path()?;
        while self.operator(LEVELS.len() - 1).is_some() {
            left = Expression::Binary(Operator::Union, Box::new(left), Box::new(self.path()?));
        }
        Some(match (signs, negative) {
            (0, _) => left,
            (_, true) => Expression::Negate(Box::new(left)),
            (_, false) => Expression::Negate(Box::new(Expression::Negate(Box::new(left)))),
        })
    }

    fn path(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let out = self.path_here();
        self.depth -= 1;
        out
    }

    fn path_here(&mut self) -> Option<Expression> {
        let everywhere = || Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() };
        if self.eat("//") {
            let mut steps = vec![everywhere()];
            self.steps(&mut steps)?;
            return Some(Expression::Path { from: From::Root, steps });
        }
        if self.eat("/") {
            let mut steps = Vec::new();
            if self.starts_step() {
                self.steps(&mut steps)?;
            }
            return Some(Expression::Path { from: From::Root, steps });
        }
        let Some(primary) = self.primary()? else {
            let mut steps = Vec::new();
            self.steps(&mut steps)?;
            return Some(Expression::Path { from: From::Context, steps });
        };
        let predicates = self.predicates()?;
        let filtered = match predicates.is_empty() {
            true => primary,
            false => Expression::Filter(Box::new(primary), predicates),
        };
        let mut steps = Vec::new();
        if self.eat("//") {
            steps.push(everywhere());
        } else if !self.eat("/") {
            return Some(filtered);
        }
        self.steps(&mut steps)?;
        Some(Expression::Path { from: From::Nodes(Box::new(filtered)), steps })
    }

    fn starts_step(&self) -> bool {
        matches!(self.peek(), Some(Token::Name(_) | Token::Symbol("@" | "*" | "." | "..")))
    }

    /// A literal, a call or something in parentheses; `Some(None)` where a path begins instead.
    fn primary(&mut self) -> Option<Option<Expression>> {
        let token = self.peek()?.clone();
        match token {
            Token::Number(n) => {
                self.at += 1;
                Some(Some(Expression::Number(n)))
            }
            Token::Text(t) => {
                self.at += 1;
                Some(Some(Expression::Text(t)))
            }
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.binary(0)?;
                self.eat(")").then_some(Some(inner))
            }
            Token::Name(name)
                if self.tokens.get(self.at + 1) == Some(&Token::Symbol("("))
                    && !matches!(name.as_str(), "node" | "text" | "comment" | "processing-instruction") =>
            {
                let (function, arity) = Function::of(&name)?;
                self.at += 2;
                let mut args = Vec::new();
                if !self.eat(")") {
                    loop {
                        args.push(self.binary(0)?);
                        if self.eat(")") {
                            break;
                        }
                        if !self.eat(",") {
                            return None;
                        }
                    }
                }
                arity.contains(&args.len()).then_some(Some(Expression::Call(function, args)))
            }
            Token::Symbol("$") => None,
            _ => Some(None),
        }
    }

    fn steps(&mut self, steps: &mut Vec<Step>) -> Option<()> {
        loop {
            steps.push(self.step()?);
            if self.eat("//") {
                steps.push(Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() });
            } else if !self.eat("/") {
                return Some(());
            }
        }
    }

    fn step(&mut self) -> Option<Step> {
        if self.eat("..") {
            return Some(Step { axis: Axis::Parent, test: Test::Node, predicates: Vec::new() });
        }
        if self.eat(".") {
            return Some(Step { axis: Axis::Itself, test: Test::Node, predicates: Vec::new() });
        }
        let axis = if self.eat("@") {
            Axis::Attribute
        } else if self.tokens.get(self.at + 1) == Some(&Token::Symbol("::")) {
            let Token::Name(name) = self.peek()?.clone() else { return None };
            self.at += 2;
            match name.as_str() {
                "ancestor" => Axis::Ancestor,
                "ancestor-or-self" => Axis::AncestorOrSelf,
                "attribute" => Axis::Attribute,
                "child" => Axis::Child,
                "descendant" => Axis::Descendant,
                "descendant-or-self" => Axis::DescendantOrSelf,
                "following" => Axis::Following,
                "following-sibling" => Axis::FollowingSibling,
                "parent" => Axis::Parent,
                "preceding" => Axis::Preceding,
                "preceding-sibling" => Axis::PrecedingSibling,
                "self" => Axis::Itself,
                _ => return None,
            }
        } else {
            Axis::Child
        };
        let test = if self.eat("*") {
            Test::AnyName
        } else {
            let Token::Name(name) = self.peek()?.clone() else { return None };
            self.at += 1;
            if self.eat("(") {
                let test = match name.as_str() {
                    "node" => Test::Node,
                    "text" => Test::Text,
                    "comment" => Test::Comment,
                    "processing-instruction" => Test::Instruction,
                    _ => return None,
                };
                if !self.eat(")") {
                    return None;
                }
                test
            } else if let Some(prefix) = name.strip_suffix(":*") {
                Test::Prefix(prefix.to_string())
            } else {
                Test::Name(name)
            }
        };
        Some(Step { axis, test, predicates: self.predicates()? })
    }

    fn predicates(&mut self) -> Option<Vec<Expression>> {
        let mut out = Vec::new();
        while self.eat("[") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return None;
            }
            out.push(self.binary(0)?);
            self.depth -= 1;
            if !self.eat("]") {
                return None;
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for good in [
            "a/b",
            "//b[1]/@x",
            "a/b div 2",
            "count(a/*) * 2",
            "div div div",
            "a[b='x' and c>1]/text()",
            "..",
            "/",
            "-1.5",
            "(a|b)[last()]/c",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in ["", "!", "a/", "a b", "foo(a)", "a[", "count()", "$x", "a::b", "'x"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert!(parse(&"(".repeat(10_000)).is_none());
        assert!(parse(&"a[".repeat(10_000)).is_none());
    }
}
