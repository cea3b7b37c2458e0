//! What a session's settings change in the language.

use boathouse_spec::Expr;

/// The parser's settings; the default is Spark's. Each names the Spark configuration it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct ParserOptions {
    /// `spark.sql.ansi.enabled`
    pub ansi: bool,
    /// `spark.sql.ansi.enforceReservedKeywords`; counts under `ansi` only.
    pub enforce_reserved_keywords: bool,
    /// `spark.sql.ansi.doubleQuotedIdentifiers`; counts under `ansi` only.
    pub double_quoted_identifiers: bool,
    /// `spark.sql.parser.escapedStringLiterals`: backslashes in strings mean themselves.
    pub escaped_string_literals: bool,
    /// `spark.sql.parser.quotedRegexColumnNames`: a name in backticks in a select list is a regular expression.
    pub quoted_regex_column_names: bool,
    /// `spark.sql.legacy.setopsPrecedence.enabled`: all set operations bind alike, left to right.
    pub legacy_set_operation_precedence: bool,
    /// `spark.sql.legacy.parser.havingWithoutGroupByAsWhere`
    pub having_as_where: bool,
    /// `spark.sql.legacy.exponentLiteralAsDecimal.enabled`: `1E2` is a decimal.
    pub exponent_literal_as_decimal: bool,
    /// `spark.sql.legacy.interval.enabled`: every interval literal is a calendar interval.
    pub legacy_interval: bool,
    /// `spark.sql.legacy.identifierClause`: `IDENTIFIER('name')` only as a function.
    pub legacy_identifier_clause: bool,
    /// `spark.sql.legacy.bangEqualsNot`: `!` means NOT also in `IS ! NULL`, `! IN` and the like.
    pub bang_equals_not: bool,
    /// `spark.sql.legacy.consecutiveStringLiterals.enabled`: `'a''b'` is two strings side by side, not one with a quote.
    pub consecutive_string_literals: bool,
    /// `spark.sql.legacy.charVarcharAsString`
    pub char_varchar_as_string: bool,
    /// `spark.sql.timestampType` is `TIMESTAMP_NTZ`: what a bare `TIMESTAMP` means.
    pub timestamp_ntz: bool,
    /// `spark.sql.scripting.cursorEnabled`: off, statements about cursors are refused.
    pub cursors: bool,
    /// `spark.sql.geospatial.enabled` is off: the types GEOMETRY and GEOGRAPHY are refused.
    pub no_geospatial: bool,
    /// `spark.sql.operatorPipeSyntaxEnabled` is off: `|>` is refused.
    pub no_pipes: bool,
    /// Values of the parameter markers `:name` and `?`. With none, markers become `Expr::NamedParameter` and
    /// `Expr::PositionalParameter`.
    pub parameters: Option<Parameters>,
    /// Values of the `IDENTIFIER(expr)` clauses the parser could not compute itself, in the order of
    /// `Command::IdentifierClause`.
    pub identifiers: Vec<String>,
}

impl Default for ParserOptions {
    fn default() -> Self {
        Self {
            ansi: true,
            enforce_reserved_keywords: false,
            double_quoted_identifiers: false,
            escaped_string_literals: false,
            quoted_regex_column_names: false,
            legacy_set_operation_precedence: false,
            having_as_where: false,
            exponent_literal_as_decimal: false,
            legacy_interval: false,
            legacy_identifier_clause: false,
            bang_equals_not: false,
            consecutive_string_literals: false,
            char_varchar_as_string: false,
            timestamp_ntz: false,
            cursors: false,
            no_geospatial: false,
            no_pipes: false,
            parameters: None,
            identifiers: Vec::new(),
        }
    }
}

/// Values for parameter markers, put in their place while parsing: literals, or collections of literals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    pub named: Vec<(String, Expr)>,
    pub positional: Vec<Expr>,
}

impl ParserOptions {
    /// Whether reserved keywords cannot be identifiers.
    pub(crate) fn reserves_keywords(&self) -> bool {
        self.ansi && self.enforce_reserved_keywords
    }

    pub(crate) fn quotes_are_identifiers(&self) -> bool {
        self.ansi && self.double_quoted_identifiers
    }
}
