//! Reads the expressions of the recorded files: the part of Spark SQL that they use.

use super::*;

/// Reads the small part of SQL that the files use.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) context: &'a Context,
    /// Parameters of the lambdas around.
    pub(super) parameters: Vec<String>,
}

pub(super) type Read<T> = std::result::Result<T, String>;

impl<'a> Reader<'a> {
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().get(..token.len()).is_some_and(|t| t.eq_ignore_ascii_case(token));
        let word = token.ends_with(|c: char| c.is_ascii_alphanumeric());
        let ends = !self
            .rest()
            .get(token.len()..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
        if found && (!word || ends) {
            self.at += token.len();
            return true;
        }
        false
    }

    pub(super) fn expect(&mut self, token: &str) -> Read<()> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected {token} at: {}", self.rest())) }
    }

    pub(super) fn word(&mut self) -> Read<String> {
        self.space();
        let end =
            self.rest().find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        if end == 0 {
            return Err(format!("expected a word at: {}", self.rest()));
        }
        let word = self.rest()[..end].to_string();
        self.at += end;
        Ok(word)
    }

    pub(super) fn string(&mut self) -> Read<String> {
        self.space();
        let mut out = String::new();
        let mut chars = self.rest().char_indices().peekable();
        if chars.next().map(|(_, c)| c) != Some('\'') {
            return Err(format!("expected a string at: {}", self.rest()));
        }
        while let Some((i, c)) = chars.next() {
            match c {
                '\'' => {
                    if chars.peek().is_some_and(|(_, c)| *c == '\'') {
                        chars.next();
                        out.push('\'');
                        continue;
                    }
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('u') => {
                        let mut code = 0;
                        for _ in 0..4 {
                            let digit = chars.next().and_then(|(_, c)| c.to_digit(16));
                            code = code * 16 + digit.ok_or("a bad \\u")?;
                        }
                        out.push(char::from_u32(code).ok_or("a lone surrogate")?);
                    }
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err("an open string".into())
    }

    pub(super) fn literal(
        &self,
        text: &str,
        data_type: DataType,
        name: impl Fn(&str) -> String,
    ) -> Read<Node> {
        let input: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![text]));
        let array = cast::cast(&input, &DataType::STRING, &data_type, Mode::Ansi, self.context)
            .map_err(|e| e.to_string())?;
        let shown = cast::to_text(&array, &data_type, self.context).map_err(|e| e.to_string())?;
        let name = name(shown.value(0));
        Ok(Node::Literal { array, data_type, name })
    }

    pub(super) fn args(&mut self) -> Read<Vec<Node>> {
        self.expect("(")?;
        let mut args = Vec::new();
        if self.eat(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.eat(")") {
                return Ok(args);
            }
            self.expect(",")?;
        }
    }

    /// Operators bind as in SQL: comparisons and LIKE, then `| ^ &`, `+ - ||`, `* / % div`, and the signs.
    pub(super) fn expression(&mut self) -> Read<Node> {
        self.operators(0)
    }

    pub(super) fn operators(&mut self, level: usize) -> Read<Node> {
        const LEVELS: [&[&str]; 6] = [
            &["<=>", "<=", ">=", "<>", "!=", "==", "=", "<", ">", "NOT LIKE", "LIKE", "ILIKE", "RLIKE"],
            &["|"],
            &["^"],
            &["&"],
            &["+", "-", "||"],
            &["*", "/", "%", "div"],
        ];
        let Some(tokens) = LEVELS.get(level) else { return self.signed() };
        let mut left = self.operators(level + 1)?;
        loop {
            self.space();
            if *tokens == ["|"] && self.rest().starts_with("||") {
                return Ok(left);
            }
            let Some(token) = tokens.iter().find(|t| self.eat(t)) else { return Ok(left) };
            let right = self.operators(level + 1)?;
            let name = match *token {
                "||" => "concat".to_string(),
                "=" => "==".to_string(),
                "<>" => "!=".to_string(),
                other => other.to_lowercase(),
            };
            left = Node::Call { name, args: vec![left, right] };
        }
    }

    pub(super) fn signed(&mut self) -> Read<Node> {
        self.space();
        let rest = self.rest();
        let number = rest.get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        for sign in ["-", "+", "~"] {
            if rest.starts_with(sign) && (sign != "-" || !number) {
                self.at += 1;
                let name = if sign == "+" { "positive".to_string() } else { sign.to_string() };
                return Ok(Node::Call { name, args: vec![self.signed()?] });
            }
        }
        if let Some(lambda) = self.lambda()? {
            return Ok(lambda);
        }
        if rest.starts_with('(') {
            self.at += 1;
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let mut value = self.primary()?;
        while self.rest().starts_with('[') {
            self.at += 1;
            let at = self.expression()?;
            self.expect("]")?;
            value = Node::Subscript { from: Box::new(value), at: Box::new(at) };
        }
        Ok(value)
    }

    /// `x -> ..` or `(x, y) -> ..`, where one is next.
    pub(super) fn lambda(&mut self) -> Read<Option<Node>> {
        let rest = self.rest();
        let Some((head, _)) = rest.split_once("->") else { return Ok(None) };
        let head = head.trim();
        let names = head.strip_prefix('(').and_then(|h| h.strip_suffix(')')).unwrap_or(head);
        let names: Vec<String> = names.split(',').map(|n| n.trim().to_string()).collect();
        if (names.len() > 1 && !head.starts_with('('))
            || names.iter().any(|n| n.is_empty() || !n.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            return Ok(None);
        }
        self.at += rest.find("->").unwrap_or(0) + 2;
        self.parameters.extend(names.iter().cloned());
        let body = Box::new(self.expression()?);
        self.parameters.truncate(self.parameters.len() - names.len());
        Ok(Some(Node::Lambda { parameters: names, body }))
    }

    /// The call of an aggregate function, after its name.
    pub(super) fn aggregate(&mut self, name: String) -> Read<Node> {
        let before = self.at;
        self.expect("(")?;
        let distinct = self.eat("DISTINCT");
        let args = match distinct {
            false => {
                self.at = before;
                if self.eat("(*)") { vec![string_literal("1")] } else { self.args()? }
            }
            true => {
                let mut args = vec![self.expression()?];
                while self.eat(",") {
                    args.push(self.expression()?);
                }
                self.expect(")")?;
                args
            }
        };
        let ignore_nulls = match (self.eat("IGNORE NULLS"), self.eat("RESPECT NULLS")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let mut order = Vec::new();
        if self.eat("WITHIN GROUP (ORDER BY") {
            loop {
                let key = self.expression()?;
                order.push((key, !self.eat("DESC")));
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(Node::Aggregate { name, args, distinct, ignore_nulls, order })
    }

    pub(super) fn primary(&mut self) -> Read<Node> {
        self.space();
        let rest = self.rest();
        let first = rest.chars().next().ok_or("an end")?;
        if first == '\'' {
            let text = self.string()?;
            return Ok(string_literal(&text));
        }
        if first.is_ascii_digit() || first == '-' || first == '.' {
            return self.number();
        }
        let word = self.word()?;
        let next_is_string = self.rest().trim_start().starts_with('\'');
        let upper = word.to_uppercase();
        match upper.as_str() {
            "NULL" => {
                return Ok(Node::Literal {
                    array: new_null_array(&arrow_type(&DataType::Null), 1),
                    data_type: DataType::Null,
                    name: "NULL".into(),
                });
            }
            "TRUE" | "FALSE" => {
                let text = upper.to_lowercase();
                return self.literal(&text, DataType::Boolean, |v| v.to_string());
            }
            "DATE" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::Date, |v| format!("DATE '{v}'"));
            }
            "TIMESTAMP" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::Timestamp, |v| format!("TIMESTAMP '{v}'"));
            }
            "TIMESTAMP_NTZ" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::TimestampNtz, |v| format!("TIMESTAMP_NTZ '{v}'"));
            }
            "TIME" if next_is_string => {
                let text = self.string()?;
                return self.literal(&text, DataType::Time { precision: 6 }, |v| format!("TIME '{v}'"));
            }
            "X" if next_is_string => {
                let text = self.string()?;
                let bytes = hex::decode(&text).map_err(|e| e.to_string())?;
                return Ok(Node::Literal {
                    array: Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
                    data_type: DataType::Binary,
                    name: format!("X'{}'", text.to_uppercase()),
                });
            }
            "INTERVAL" => return self.interval(),
            "CAST" | "TRY_CAST" => {
                self.expect("(")?;
                let input = Box::new(self.expression()?);
                self.expect("AS")?;
                let to = self.data_type()?;
                self.expect(")")?;
                return Ok(Node::Cast { input, to, tried: upper == "TRY_CAST" });
            }
            "EXTRACT" => {
                self.expect("(")?;
                let field = self.word()?;
                self.expect("FROM")?;
                let source = self.expression()?;
                self.expect(")")?;
                return Ok(Node::Call { name: "extract".into(), args: vec![string_literal(&field), source] });
            }
            _ => {}
        }
        if let Some(n) = upper.strip_prefix("COL").and_then(|n| n.parse::<usize>().ok()) {
            return Ok(Node::Column(n - 1));
        }
        let mut name = word.to_lowercase();
        if matches!(name.as_str(), "date" | "timestamp" | "time" | "string" | "int") {
            return Err("a cast in function form".into());
        }
        if matches!(
            name.as_str(),
            "timestampadd" | "timestampdiff" | "dateadd" | "date_add" | "datediff" | "date_diff"
        ) {
            let before = self.at;
            if self.eat("(")
                && let Ok(unit) = self.word()
                && unit.starts_with(|c: char| c.is_ascii_uppercase())
                && self.eat(",")
            {
                let mut args = vec![string_literal(&unit), self.expression()?];
                self.expect(",")?;
                args.push(self.expression()?);
                self.expect(")")?;
                name = if name.contains("add") { "timestampadd".into() } else { "timestampdiff".into() };
                return Ok(Node::Call { name, args });
            }
            self.at = before;
        }
        if self.parameters.contains(&word) && !self.rest().starts_with('(') {
            return Ok(Node::Parameter(word));
        }
        let entries = registry().get(&name);
        if entries.iter().any(|e| matches!(e, Entry::Aggregate(_)))
            && !entries.iter().any(|e| matches!(e, Entry::Scalar(_)))
            && !self.rest().contains("->")
        {
            return self.aggregate(name);
        }
        let args = self.args()?;
        Ok(Node::Call { name, args })
    }

    pub(super) fn number(&mut self) -> Read<Node> {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(i, c)| {
                let sign = *i == 0 || rest[..*i].ends_with(['e', 'E']);
                !(c.is_ascii_digit()
                    || *c == '.'
                    || *c == 'e'
                    || *c == 'E'
                    || (sign && (*c == '-' || *c == '+')))
            })
            .map_or(rest.len(), |(i, _)| i);
        let text = &rest[..end];
        self.at += end;
        let plain = |v: &str| v.to_string();
        let suffix = self.rest().chars().next();
        let suffixed = match suffix {
            Some('L') => Some(DataType::Long),
            Some('S') => Some(DataType::Short),
            Some('Y') => Some(DataType::Byte),
            Some('D' | 'd') => Some(DataType::Double),
            Some('F' | 'f') => Some(DataType::Float),
            _ => None,
        };
        if let Some(data_type) = suffixed {
            self.at += 1;
            return self.literal(text, data_type, plain);
        }
        if self.rest().starts_with("BD") || self.rest().starts_with("bd") {
            self.at += 2;
        }
        if text.contains(['e', 'E']) {
            return self.literal(text, DataType::Double, plain);
        }
        if let Some((_, fraction)) = text.split_once('.') {
            let digits = text.trim_start_matches('-').trim_start_matches('0').len() - 1;
            let data_type = DataType::Decimal {
                precision: digits.max(fraction.len()) as u8,
                scale: fraction.len() as u8,
            };
            return self.literal(text, data_type, plain);
        }
        match text.parse::<i64>() {
            Ok(v) if i32::try_from(v).is_ok() => self.literal(text, DataType::Integer, plain),
            Ok(_) => self.literal(text, DataType::Long, plain),
            Err(e) => Err(e.to_string()),
        }
    }

    pub(super) fn field(&mut self) -> Read<IntervalField> {
        let word = self.word()?.to_lowercase();
        IntervalField::parse(word.trim_end_matches('s')).ok_or(format!("no field {word}"))
    }

    pub(super) fn interval(&mut self) -> Read<Node> {
        self.space();
        if !self.rest().starts_with('\'') {
            return Err("an interval in words".into());
        }
        let text = self.string()?;
        let start = self.field()?;
        let end = if self.eat("TO") { self.field()? } else { start };
        let data_type = crate::coercion::interval_type(start, end);
        self.literal(&text, data_type, |v| v.to_string())
    }

    pub(super) fn data_type(&mut self) -> Read<DataType> {
        let word = self.word()?.to_uppercase();
        let mut numbers = Vec::new();
        if self.eat("(") {
            loop {
                numbers.push(self.word()?.parse::<u8>().map_err(|e| e.to_string())?);
                if self.eat(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        Ok(match word.as_str() {
            "INT" => DataType::Integer,
            "BIGINT" | "LONG" => DataType::Long,
            "SMALLINT" => DataType::Short,
            "TINYINT" => DataType::Byte,
            "BOOLEAN" => DataType::Boolean,
            "FLOAT" => DataType::Float,
            "DOUBLE" => DataType::Double,
            "STRING" => DataType::STRING,
            "BINARY" => DataType::Binary,
            "DATE" => DataType::Date,
            "TIMESTAMP" => DataType::Timestamp,
            "TIMESTAMP_NTZ" => DataType::TimestampNtz,
            "VARIANT" => DataType::Variant,
            "VOID" => DataType::Null,
            "CHAR" => DataType::Char(u32::from(*numbers.first().ok_or("no length")?)),
            "TIME" => DataType::Time { precision: numbers.first().copied().unwrap_or(6) },
            "DECIMAL" => DataType::Decimal {
                precision: numbers.first().copied().unwrap_or(10),
                scale: numbers.get(1).copied().unwrap_or(0),
            },
            "INTERVAL" => {
                let Ok(start) = self.field() else { return Ok(DataType::CalendarInterval) };
                let end = if self.eat("TO") { self.field()? } else { start };
                crate::coercion::interval_type(start, end)
            }
            "ARRAY" => {
                self.expect("<")?;
                let element = self.data_type()?;
                self.expect(">")?;
                DataType::array(element, true)
            }
            "MAP" => {
                self.expect("<")?;
                let key = self.data_type()?;
                self.expect(",")?;
                let value = self.data_type()?;
                self.expect(">")?;
                DataType::map(key, value, true)
            }
            "STRUCT" => {
                self.expect("<")?;
                let fields = self.fields()?;
                self.expect(">")?;
                DataType::structure(fields)
            }
            other => return Err(format!("no type {other}")),
        })
    }

    pub(super) fn fields(&mut self) -> Read<Vec<StructField>> {
        let mut fields = Vec::new();
        loop {
            let name = self.word()?;
            self.eat(":");
            let data_type = self.data_type()?;
            let nullable = if self.eat("NOT") { !self.eat("NULL") } else { true };
            fields.push(StructField::new(name, data_type, nullable));
            if !self.eat(",") {
                return Ok(fields);
            }
        }
    }
}

/// The schema of a string, for functions that take one: the engine sets a parser of its own.
pub(crate) fn parse_schema(text: &str) -> Result<DataType> {
    let context = Context::default();
    let failed = |at: String| Error::new("PARSE_SYNTAX_ERROR").message(at);
    let mut reader = Reader { text, at: 0, context: &context, parameters: Vec::new() };
    if let Ok(data_type) = reader.data_type() {
        reader.space();
        if reader.rest().is_empty() {
            return Ok(data_type);
        }
    }
    let mut reader = Reader { text, at: 0, context: &context, parameters: Vec::new() };
    let fields = reader.fields().map_err(failed)?;
    reader.space();
    if reader.rest().is_empty() {
        Ok(DataType::structure(fields))
    } else {
        Err(failed(reader.rest().to_string()))
    }
}

pub(super) fn string_literal(text: &str) -> Node {
    Node::Literal {
        array: Arc::new(arrow::array::StringArray::from(vec![text])),
        data_type: DataType::STRING,
        name: text.to_string(),
    }
}
