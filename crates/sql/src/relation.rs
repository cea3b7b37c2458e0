//! FROM: tables, subqueries, joins, samples, lateral views.

use boathouse_spec::{
    Error, Expr, Interval, Join, JoinCondition, JoinKind, Literal, Name, Options, Relation, RelationNode,
    Result, Sample, TimeTravel,
};

use crate::error;
use crate::lexer::Kind;
use crate::parser::Parser;
use crate::query::{aliased, long_value};

/// What Spark calls a subquery in FROM that has no alias; it hides the names inside.
const UNNAMED_SUBQUERY: &str = "__auto_generated_subquery_name";

/// What stands in a FROM clause, and whether LATERAL may stand before it.
struct Primary {
    relation: Relation,
    may_be_lateral: bool,
}

impl Parser<'_> {
    /// The relations after FROM, with what follows them there.
    pub fn relations_of_from(&mut self) -> Result<Relation> {
        let mut relation = self.relation(None)?;
        while self.eat_symbol(",") {
            self.grow()?;
            relation = self.relation(Some(relation))?;
        }
        while self.at_all(&["LATERAL", "VIEW"]) {
            self.grow()?;
            relation = self.lateral_view(relation)?;
        }
        while self.at_pivot() {
            self.grow()?;
            relation = self.pivot_or_unpivot(relation)?;
        }
        Ok(relation)
    }

    /// One relation with its joins; a comma before it joins it to what is on the left.
    fn relation(&mut self, left: Option<Relation>) -> Result<Relation> {
        self.nested(|p| {
            let start = p.pos;
            let lateral = p.at("LATERAL") && !p.at_offset(1, "VIEW");
            if lateral {
                p.advance();
            }
            let primary = p.relation_primary()?;
            p.check_lateral(start, lateral, &primary);
            let mut relation = match left {
                None => primary.relation,
                Some(left) if lateral => RelationNode::LateralJoin {
                    left,
                    right: primary.relation,
                    kind: JoinKind::Inner,
                    condition: None,
                }
                .into(),
                Some(left) => join(left, primary.relation, JoinKind::Inner, JoinCondition::None),
            };
            loop {
                p.grow()?;
                if p.at_join() {
                    relation = p.join_relation(relation)?;
                } else if p.at_pivot() {
                    relation = p.pivot_or_unpivot(relation)?;
                } else {
                    return Ok(relation);
                }
            }
        })
    }

    fn check_lateral(&mut self, start: usize, lateral: bool, primary: &Primary) {
        if lateral && !primary.may_be_lateral {
            let error = Error::new("INVALID_SQL_SYNTAX.LATERAL_WITHOUT_SUBQUERY_OR_TABLE_VALUED_FUNC")
                .message("LATERAL stands only before a subquery or a table function.");
            let error = self.error_from(start, error);
            self.note(error);
        }
    }

    // ---- joins

    pub fn at_join(&self) -> bool {
        if self.kind() != Kind::Word {
            return false;
        }
        let next = self.peek_at(1).text;
        // Words that cannot be aliases begin nothing but a join.
        let only_join = self.is_identifier(self.peek()) && !self.is_strict_identifier(self.peek());
        match self.peek().text {
            "JOIN" => true,
            "INNER" | "CROSS" | "SEMI" | "ANTI" | "LEFT" | "RIGHT" | "FULL" | "NATURAL" if only_join => true,
            "INNER" | "CROSS" | "SEMI" | "ANTI" => next == "JOIN",
            "LEFT" => matches!(next, "JOIN" | "OUTER" | "SEMI" | "ANTI"),
            "RIGHT" | "FULL" => matches!(next, "JOIN" | "OUTER"),
            "NATURAL" => {
                matches!(next, "JOIN" | "INNER" | "CROSS" | "SEMI" | "ANTI" | "LEFT" | "RIGHT" | "FULL")
            }
            _ => false,
        }
    }

    pub fn join_relation(&mut self, left: Relation) -> Result<Relation> {
        let start = self.pos;
        let natural = self.eat("NATURAL");
        let kind = self.join_kind()?;
        self.expect("JOIN")?;
        let lateral = self.eat("LATERAL");
        let primary = self.nested(Self::relation_primary)?;
        self.check_lateral(start, lateral, &primary);
        let right = primary.relation;
        if self.at_any(&["APPROX", "EXACT"]) && self.at_offset(1, "NEAREST") {
            return Err(Error::unsupported("NEAREST BY joins"));
        }
        let condition = if natural {
            JoinCondition::Natural
        } else if self.eat("ON") {
            JoinCondition::On(self.expression()?)
        } else if self.eat("USING") {
            JoinCondition::Using(self.identifier_list()?)
        } else {
            JoinCondition::None
        };
        if natural && (lateral || kind == JoinKind::Cross) {
            let other = if lateral { "LATERAL" } else { "CROSS" };
            let (one, two) = if lateral { (other, "NATURAL") } else { ("NATURAL", other) };
            let error = Error::new("INCOMPATIBLE_JOIN_TYPES")
                .param("joinType1", one)
                .param("joinType2", two)
                .message(format!("The joins {one} and {two} cannot be one."));
            let error = self.error_from(start, error);
            self.note(error);
        }
        if !lateral {
            return Ok(join(left, right, kind, condition));
        }
        if matches!(condition, JoinCondition::Using(_)) {
            let error = Error::new("UNSUPPORTED_FEATURE.LATERAL_JOIN_USING")
                .message("A lateral join takes ON, not USING.");
            let error = self.error_from(start, error);
            self.note(error);
        }
        if !matches!(kind, JoinKind::Inner | JoinKind::Cross | JoinKind::LeftOuter) {
            let error = Error::new("INVALID_LATERAL_JOIN_TYPE")
                .param("joinType", kind_name(kind))
                .message(format!("A {} join cannot be lateral.", kind_name(kind)));
            let error = self.error_from(start, error);
            self.note(error);
        }
        let condition = match condition {
            JoinCondition::On(condition) => Some(condition),
            _ => None,
        };
        Ok(RelationNode::LateralJoin { left, right, kind, condition }.into())
    }

    fn join_kind(&mut self) -> Result<JoinKind> {
        let word = self.peek().text;
        let kind = match word {
            "JOIN" => return Ok(JoinKind::Inner),
            "INNER" => JoinKind::Inner,
            "CROSS" => JoinKind::Cross,
            "SEMI" => JoinKind::LeftSemi,
            "ANTI" => JoinKind::LeftAnti,
            "LEFT" => JoinKind::LeftOuter,
            "RIGHT" => JoinKind::RightOuter,
            "FULL" => JoinKind::FullOuter,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        if matches!(kind, JoinKind::LeftOuter | JoinKind::RightOuter | JoinKind::FullOuter)
            && self.eat("OUTER")
        {
            return Ok(kind);
        }
        if kind == JoinKind::LeftOuter {
            if self.eat("SEMI") {
                return Ok(JoinKind::LeftSemi);
            }
            if self.eat("ANTI") {
                return Ok(JoinKind::LeftAnti);
            }
        }
        Ok(kind)
    }

    // ---- what is joined

    fn relation_primary(&mut self) -> Result<Primary> {
        if self.at_symbol("(") {
            return self.parenthesized_relation();
        }
        if self.at("VALUES") && self.values_follow() {
            return Ok(Primary { relation: self.inline_table()?, may_be_lateral: false });
        }
        if self.at("STREAM") && self.stream_follows() {
            return self.stream();
        }
        if self.at_table_function() {
            let call = self.table_function()?;
            let relation = self.with_watermark(call)?;
            let alias = self.table_alias()?;
            return Ok(Primary { relation: aliased(relation, alias), may_be_lateral: true });
        }
        let mut relation = self.table()?;
        if self.at("CHANGES") && self.at_offset(1, "FROM") {
            return Err(Error::unsupported("the CHANGES FROM clause"));
        }
        let version = self.version_suffix()?;
        let time_travel = match version {
            Some(version) => Some(version),
            None => self.time_travel()?,
        };
        let options = self.with_options()?;
        if let RelationNode::Table(table) = relation.node.as_mut() {
            table.time_travel = time_travel;
            table.options = options;
        }
        let relation = self.sampled(relation)?;
        let relation = self.with_watermark(relation)?;
        let alias = self.table_alias()?;
        Ok(Primary { relation: aliased(relation, alias), may_be_lateral: false })
    }

    fn values_follow(&self) -> bool {
        let next = self.peek_at(1);
        match next.kind {
            Kind::Symbol => matches!(next.text, "(" | "-" | "+") && !self.symbol_at(2, ")"),
            Kind::Word => {
                matches!(
                    next.text,
                    "NULL"
                        | "TRUE"
                        | "FALSE"
                        | "STRUCT"
                        | "DATE"
                        | "TIMESTAMP"
                        | "INTERVAL"
                        | "CAST"
                        | "ARRAY"
                        | "MAP"
                ) || self.symbol_at(2, "(")
            }
            Kind::End => false,
            _ => true,
        }
    }

    fn parenthesized_relation(&mut self) -> Result<Primary> {
        let is_query = self.is_query_at(self.pos + 1);
        self.advance();
        let relation = if is_query { self.query()? } else { self.relation(None)? };
        self.expect_symbol(")")?;
        let relation = self.sampled(relation)?;
        let relation = self.with_watermark(relation)?;
        let alias = self.table_alias()?;
        let alias = match alias {
            None if is_query => Some((UNNAMED_SUBQUERY.to_string(), vec![])),
            other => other,
        };
        Ok(Primary { relation: aliased(relation, alias), may_be_lateral: is_query })
    }

    fn stream_follows(&self) -> bool {
        let next = self.peek_at(1);
        if next.text == "(" {
            return true;
        }
        if !self.is_strict_identifier(next) || matches!(next.text, "AS" | "TABLESAMPLE" | "PIVOT" | "UNPIVOT")
        {
            return false;
        }
        // `FROM stream WHERE ..` names a table.
        !matches!(
            next.text,
            "WHERE"
                | "GROUP"
                | "ORDER"
                | "HAVING"
                | "LIMIT"
                | "QUALIFY"
                | "WINDOW"
                | "SORT"
                | "CLUSTER"
                | "DISTRIBUTE"
                | "OFFSET"
                | "SELECT"
        )
    }

    /// `STREAM t`, `STREAM(t)`, `STREAM f(..)`
    fn stream(&mut self) -> Result<Primary> {
        self.advance();
        let parenthesized = self.eat_symbol("(");
        let is_function = self.at_table_function();
        let mut relation = if is_function {
            let call = self.table_function()?;
            RelationNode::Stream { input: call }.into()
        } else {
            self.table()?
        };
        if parenthesized {
            self.expect_symbol(")")?;
        }
        if self.at("CHANGES") && (self.at_offset(1, "FROM") || self.at_offset(1, "WITH")) {
            return Err(Error::unsupported("the CHANGES clause"));
        }
        let options = self.with_options()?;
        if self.eat_all(&["IDENTIFIED", "BY"]) {
            let name = self.identifier()?;
            return Err(Error::unsupported(format!("IDENTIFIED BY {name}")));
        }
        if let RelationNode::Table(table) = relation.node.as_mut() {
            table.options = options;
            table.is_streaming = true;
        }
        let relation = self.with_watermark(relation)?;
        let alias = self.table_alias()?;
        Ok(Primary { relation: aliased(relation, alias), may_be_lateral: is_function })
    }

    /// `WITH ('key' = 'value', ..)` after a table.
    fn with_options(&mut self) -> Result<Options> {
        if self.at("WITH") && self.symbol_at(1, "(") {
            self.advance();
            return self.property_list();
        }
        Ok(vec![])
    }

    /// `t@v1`, `t@20240101000000000`
    fn version_suffix(&mut self) -> Result<Option<TimeTravel>> {
        if !self.at_symbol("@") {
            return Ok(None);
        }
        self.advance();
        let token = self.advance();
        let text = self.source(token);
        if let Some(version) = text.strip_prefix(['v', 'V']).and_then(|v| v.parse::<i64>().ok()) {
            return Ok(Some(TimeTravel::Version(Expr::literal(Literal::Long(version)))));
        }
        let digits =
            |from: usize, to: usize| text.get(from..to).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let parts =
            [(0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14), (14, 17)].map(|(a, b)| digits(a, b));
        if text.len() == 17
            && let [Some(y), Some(mo), Some(d), Some(h), Some(mi), Some(s), Some(ms)] = parts
        {
            let written = format!("{y}-{mo}-{d} {h}:{mi}:{s}.{ms}");
            return Ok(Some(TimeTravel::Timestamp(Expr::literal(Literal::TimestampText(written)))));
        }
        Err(self.unexpected_at(self.pos - 1))
    }

    /// `[FOR] VERSION AS OF n`, `[FOR] TIMESTAMP AS OF t`
    pub fn time_travel(&mut self) -> Result<Option<TimeTravel>> {
        let offset = usize::from(self.at("FOR"));
        let word = self.peek_at(offset).text;
        if !matches!(word, "VERSION" | "SYSTEM_VERSION" | "TIMESTAMP" | "SYSTEM_TIME")
            || !self.at_offset(offset + 1, "AS")
            || !self.at_offset(offset + 2, "OF")
        {
            return Ok(None);
        }
        self.pos += offset + 3;
        if matches!(word, "TIMESTAMP" | "SYSTEM_TIME") {
            return Ok(Some(TimeTravel::Timestamp(self.value_expression()?)));
        }
        Ok(Some(TimeTravel::Version(self.version()?)))
    }

    /// A number or a string.
    pub fn version(&mut self) -> Result<Expr> {
        if self.kind() == Kind::Integer {
            return Ok(Expr::literal(Literal::Long(self.integer_value()?)));
        }
        if self.at_parameter_marker() {
            return self.parameter();
        }
        self.string_literal().map(Expr::string)
    }

    /// `WATERMARK time DELAY OF INTERVAL ..`
    fn with_watermark(&mut self, input: Relation) -> Result<Relation> {
        if !(self.at("WATERMARK") && self.begins_clause()) {
            return Ok(input);
        }
        self.advance();
        let event_time = self.named_expression()?;
        self.expect_all(&["DELAY", "OF"])?;
        let start = self.pos;
        let delay = match self.interval()? {
            Literal::CalendarInterval(Interval { months, days, microseconds }) => {
                format!("{months} months {days} days {microseconds} microseconds")
            }
            Literal::YearMonthInterval { months, .. } => format!("{months} months"),
            Literal::DayTimeInterval { microseconds, .. } => format!("{microseconds} microseconds"),
            _ => return Err(self.unexpected_at(start)),
        };
        let (input, event_time) = match event_time {
            Expr::Column(column) => (input, column.name.join(".")),
            // A computed time becomes a column first.
            Expr::Alias { ref names, .. } if names.len() == 1 => {
                let name = names[0].clone();
                let exprs = vec![Expr::star(), event_time];
                (RelationNode::Project { input, exprs }.into(), name)
            }
            _ => {
                return Err(self.error_from(
                    start,
                    Error::new("REQUIRES_EXPLICIT_NAME_IN_WATERMARK_CLAUSE")
                        .param("sqlExpr", self.text_from(start))
                        .message("The expression of a WATERMARK clause needs a name: add AS name."),
                ));
            }
        };
        Ok(RelationNode::WithWatermark { input, event_time, delay }.into())
    }

    // ---- samples

    /// `TABLESAMPLE (10 PERCENT | 5 ROWS | BUCKET 1 OUT OF 4) [REPEATABLE (seed)]` if it stands here.
    pub fn sampled(&mut self, input: Relation) -> Result<Relation> {
        if self.at("TABLESAMPLE") && self.begins_clause() { self.sample(input) } else { Ok(input) }
    }

    pub fn sample(&mut self, input: Relation) -> Result<Relation> {
        let start = self.pos;
        self.expect("TABLESAMPLE")?;
        if self.eat_any(&["BERNOULLI", "SYSTEM"]) == Some("SYSTEM") {
            return Err(self.error_from(
                start,
                Error::new("UNSUPPORTED_FEATURE.TABLESAMPLE_SYSTEM")
                    .message("TABLESAMPLE SYSTEM needs a source that samples blocks; use BERNOULLI."),
            ));
        }
        self.expect_symbol("(")?;
        let mut sample = Sample {
            input,
            lower_bound: 0.0,
            upper_bound: 1.0,
            with_replacement: false,
            seed: None,
            rows: None,
            deterministic_order: false,
        };
        if self.at_symbol(")") {
            self.advance();
            return Err(self.error_from(
                start,
                Error::new("_LEGACY_ERROR_TEMP_0014").message("TABLESAMPLE needs what to sample."),
            ));
        }
        let not_supported = |what: &str| {
            Error::new("_LEGACY_ERROR_TEMP_0015")
                .param("msg", what)
                .message(format!("TABLESAMPLE({what}) is not supported."))
        };
        let mut fraction = None;
        let has_number = self.peek_at(1).kind == Kind::Integer || self.known_marker_at(1).is_some();
        if self.at("BUCKET") && has_number {
            self.advance();
            let numerator = self.integer_value()?;
            self.expect_all(&["OUT", "OF"])?;
            let denominator = self.integer_value()?;
            if self.eat("ON") {
                self.name()?;
                let call = self.eat_symbol("(");
                if call {
                    self.expect_symbol(")")?;
                }
                self.expect_symbol(")")?;
                let what =
                    if call { "BUCKET x OUT OF y ON function" } else { "BUCKET x OUT OF y ON colname" };
                return Err(self.error_from(start, not_supported(what)));
            }
            fraction = Some(numerator as f64 / denominator as f64);
        } else if let Some(percent) = self.percentage()? {
            fraction = Some(percent / 100.0);
        } else {
            let written = self.pos;
            let amount = self.expression()?;
            let written = self.text_from(written);
            if !self.eat("ROWS") {
                self.expect_symbol(")")?;
                let number =
                    written.strip_suffix(['b', 'B', 'k', 'K', 'm', 'M', 'g', 'G']).unwrap_or_default();
                let is_size = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                let error = match is_size {
                    true => not_supported("byteLengthLiteral"),
                    false => Error::new("_LEGACY_ERROR_TEMP_0016").param("bytesStr", written).message(
                        format!("{written} is no number of bytes: those are digits and B, K, M or G."),
                    ),
                };
                return Err(self.error_from(start, error));
            }
            sample.rows = Some(amount);
        }
        self.expect_symbol(")")?;
        if self.eat("REPEATABLE") {
            self.expect_symbol("(")?;
            sample.seed = Some(self.integer_value()?);
            self.expect_symbol(")")?;
        }
        if let Some(fraction) = fraction {
            const ROUNDING: f64 = 1e-6;
            if !(-ROUNDING..=1.0 + ROUNDING).contains(&fraction) {
                let message = format!("Sampling fraction ({fraction:?}) must be on interval [0, 1]");
                return Err(self.error_from(start, error::legacy("0064", "msg", message)));
            }
            sample.upper_bound = fraction;
        }
        Ok(RelationNode::Sample(sample).into())
    }

    /// `[-] number PERCENT`
    fn percentage(&mut self) -> Result<Option<f64>> {
        let offset = usize::from(self.at_symbol("-"));
        let is_number = matches!(self.peek_at(offset).kind, Kind::Integer | Kind::Decimal);
        let is_marker = offset == 0 && self.at_parameter_marker();
        // `:name` is two tokens.
        let length = if self.at_symbol(":") { 2 } else { 1 };
        if !(is_number || is_marker) || !self.at_offset(offset + length, "PERCENT") {
            return Ok(None);
        }
        self.pos += offset;
        let value = if is_number {
            let token = self.advance();
            self.source(token).parse().unwrap_or(f64::NAN)
        } else {
            let start = self.pos;
            let value = self.parameter()?;
            long_value(&value).ok_or_else(|| self.unexpected_at(start))? as f64
        };
        self.expect("PERCENT")?;
        Ok(Some(if offset == 1 { -value } else { value }))
    }

    // ---- lateral views

    /// `LATERAL VIEW [OUTER] generator(..) t [AS a, b]`
    pub fn lateral_view(&mut self, input: Relation) -> Result<Relation> {
        self.expect_all(&["LATERAL", "VIEW"])?;
        let outer = self.at("OUTER") && !self.symbol_at(1, "(");
        if outer {
            self.advance();
        }
        let name: Name = self.function_name()?;
        self.expect_symbol("(")?;
        let args = if self.at_symbol(")") { vec![] } else { self.expressions()? };
        self.expect_symbol(")")?;
        let generator = Expr::Call(Box::new(boathouse_spec::Call { name, args, ..Default::default() }));
        let table_alias = if self.at("AS") { None } else { Some(self.identifier()?) };
        let mut columns = Vec::new();
        if self.eat("AS") || (self.at_identifier() && !self.begins_clause() && !self.at_join()) {
            columns = self.list(Self::identifier)?;
        }
        Ok(RelationNode::LateralView { input, generator, table_alias, columns, outer }.into())
    }
}

pub(crate) fn join(left: Relation, right: Relation, kind: JoinKind, condition: JoinCondition) -> Relation {
    RelationNode::Join(Join { left, right, kind, condition }).into()
}

fn kind_name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "INNER",
        JoinKind::Cross => "CROSS",
        JoinKind::LeftOuter => "LEFT OUTER",
        JoinKind::RightOuter => "RIGHT OUTER",
        JoinKind::FullOuter => "FULL OUTER",
        JoinKind::LeftSemi => "LEFT SEMI",
        JoinKind::LeftAnti => "LEFT ANTI",
    }
}
