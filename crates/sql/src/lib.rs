//! SQL text to `spec`: Spark's language, with Delta's and Databricks' statements.
//!
//! The crate owns the text of the language and nothing else: it turns text into [`Plan`], [`Expr`], [`DataType`] and
//! names, and reports Spark's parse errors. It resolves nothing, evaluates nothing, knows no catalog, and must not.
//!
//! A hand-written lexer ([`lexer`]) and a recursive-descent parser ([`parser`]) with precedence climbing for operators
//! ([`expression`]). Spark reserves no word by default, so that a keyword is an identifier unless what follows says
//! otherwise; `query::begins_clause` and `query::is_query_at` hold those decisions.
//!
//! Start at [`parse_statement`], then `statement/mod.rs`.

mod datetime;
mod error;
mod expression;
mod function_call;
mod identifier;
mod interval;
mod keywords;
mod lexer;
mod literal;
mod options;
mod parser;
mod pipe;
mod pivot;
mod primary;
mod query;
mod relation;
mod script;
mod select;
#[cfg(test)]
mod sketch;
mod split;
mod statement;
mod table_function;
mod types;
mod variables;

use boathouse_spec::{DataType, Error, Expr, Name, Plan, Relation, Result, StructType};

use crate::parser::Parser;

pub use crate::keywords::{Keyword, keywords};
pub use crate::options::{Parameters, ParserOptions};
pub use crate::split::{is_complete, split_statements};
pub use crate::variables::substitute_variables;

/// One statement; semicolons may follow it.
pub fn parse_statement(text: &str, options: &ParserOptions) -> Result<Plan> {
    Parser::new(text, options)?.single_statement()
}

/// All statements of a text, each with its source.
pub fn parse_statements(text: &str, options: &ParserOptions) -> Result<Vec<(String, Plan)>> {
    split_statements(text)
        .into_iter()
        .map(|statement| {
            let plan = parse_statement(&statement, options)?;
            Ok((statement, plan))
        })
        .collect()
}

/// One rule over a whole text.
fn whole<'a, T>(
    text: &'a str,
    options: &'a ParserOptions,
    rule: impl FnOnce(&mut Parser<'a>) -> Result<T>,
) -> Result<T> {
    let mut parser = Parser::new(text, options)?;
    if parser.at_end() {
        return Err(error::empty_statement(text));
    }
    let value = rule(&mut parser)?;
    parser.expect_end()?;
    parser.noted()?;
    Ok(value)
}

/// Whether a text has parameters by name (`:a`) and by position (`?`), by its tokens alone: parameters may stand where a text
/// without their values cannot be parsed.
pub fn parameter_markers(text: &str) -> Result<(bool, bool)> {
    let tokens = lexer::tokenize(text)?;
    let (mut named, mut positional) = (false, false);
    for (i, token) in tokens.iter().enumerate() {
        if token.kind != lexer::Kind::Symbol {
            continue;
        }
        positional |= token.text == "?";
        // `variant:path`, `f(x):path` and `v[0]:path` touch what is before them.
        let ends_value = |before: &lexer::Token| {
            before.kind != lexer::Kind::Symbol || matches!(before.text, ")" | "]" | "?")
        };
        let touches = i > 0 && tokens[i - 1].end == token.start && ends_value(&tokens[i - 1]);
        named |=
            token.text == ":" && !touches && tokens.get(i + 1).is_some_and(|t| t.kind == lexer::Kind::Word);
    }
    Ok((named, positional))
}

/// A query, without commands.
pub fn parse_query(text: &str, options: &ParserOptions) -> Result<Relation> {
    whole(text, options, Parser::query)
}

/// An expression, which may be named (`a + 1 AS b`).
pub fn parse_expression(text: &str) -> Result<Expr> {
    parse_expression_with(text, &ParserOptions::default())
}

/// As [`parse_expression`], with settings.
pub fn parse_expression_with(text: &str, options: &ParserOptions) -> Result<Expr> {
    whole(text, options, Parser::named_expression)
}

/// A data type: `ARRAY<INT>`, `decimal(10, 2)`.
pub fn parse_data_type(text: &str) -> Result<DataType> {
    parse_data_type_with(text, &ParserOptions::default())
}

/// As [`parse_data_type`], with settings.
pub fn parse_data_type_with(text: &str, options: &ParserOptions) -> Result<DataType> {
    whole(text, options, Parser::data_type)
}

/// A schema: the columns of a table (`a INT, b STRING NOT NULL COMMENT 'x'`), a struct type, or a struct's inside
/// (`a: INT, b: STRING`).
pub fn parse_schema(text: &str) -> Result<StructType> {
    match parse_schema_or_type(text)? {
        DataType::Struct(schema) => Ok(schema),
        other => Err(Error::new("INVALID_SCHEMA.NON_STRUCT_TYPE")
            .param("inputSchema", format!("\"{text}\""))
            .param("dataType", format!("\"{}\"", other.sql()))
            .message(format!("A schema is a struct, not {}.", other.sql()))
            .exception("ParseException")),
    }
}

/// What a schema string of a client means: columns give a struct, a lone type is itself. The error is that of the
/// first reading.
pub fn parse_schema_or_type(text: &str) -> Result<DataType> {
    let options = ParserOptions::default();
    let as_table = match whole(text, &options, Parser::column_types) {
        Ok(schema) => return Ok(DataType::Struct(schema)),
        Err(error) => error,
    };
    parse_data_type(text)
        .or_else(|_| parse_data_type(&format!("struct<{}>", text.trim())))
        .map_err(|_| as_table)
}

/// A name of one or more parts: ``a.`b c`.d``.
pub fn parse_name(text: &str) -> Result<Name> {
    parse_name_with(text, &ParserOptions::default())
}

/// As [`parse_name`], with settings.
pub fn parse_name_with(text: &str, options: &ParserOptions) -> Result<Name> {
    whole(text, options, Parser::name)
}

#[cfg(test)]
mod tests {
    use boathouse_spec::Literal;

    use super::*;

    #[test]
    fn errors_show_where() {
        let error = parse_statement("SELECT a\nFROM t WHEN x", &ParserOptions::default())
            .err()
            .map(|e| e.to_string());
        let expected = "[PARSE_SYNTAX_ERROR] Syntax error at or near 'x': extra input 'x'. SQLSTATE: 42601 (line 2, pos 12)\n\n\
                        == SQL ==\nSELECT a\nFROM t WHEN x\n------------^^^\n";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn contexts_are_in_characters() {
        let error = parse_expression("'é' + 128Y").err();
        let context = error.as_ref().and_then(|e| e.contexts().first().cloned());
        assert_eq!(context.map(|c| (c.start, c.stop, c.fragment)), Some((6, 9, "128Y".to_string())));
    }

    #[test]
    fn syntax_errors_come_before_errors_of_meaning() {
        let class = |t: &str| parse_expression(t).err().map(|e| e.class().to_string());
        assert_eq!(class("DATE 'x'").as_deref(), Some("INVALID_TYPED_LITERAL"));
        assert_eq!(class("DATE 'x' )").as_deref(), Some("PARSE_SYNTAX_ERROR"));
        assert_eq!(class("").as_deref(), Some("PARSE_EMPTY_STATEMENT"));
    }

    #[test]
    fn parameters_take_the_place_of_literals() {
        let text = |s: &str| Expr::string(s);
        let options = ParserOptions {
            parameters: Some(Parameters {
                named: vec![("t".into(), text("a.b")), ("n".into(), Expr::literal(Literal::Integer(5)))],
                positional: vec![],
            }),
            ..ParserOptions::default()
        };
        let query = |t: &str| {
            parse_query(t, &options).map(|r| sketch::relation(&r)).map_err(|e| e.class().to_string())
        };
        assert_eq!(query("SELECT :n, CAST(1 AS DECIMAL(:n)) FROM IDENTIFIER(:t) LIMIT :n"), {
            Ok("limit(project(a.b, 5 (cast 1 decimal(5,0) Session)), 5)".to_string())
        });
        assert_eq!(query("SELECT :m"), Err("UNBOUND_SQL_PARAMETER".to_string()));
        assert_eq!(query("SELECT 'x' :t"), Ok("project(one, 'xa.b')".to_string()));
        let free = parse_query("SELECT :m, ?, ?", &ParserOptions::default()).map(|r| sketch::relation(&r));
        assert_eq!(free.ok().as_deref(), Some("project(one, :m ?0 ?1)"));
    }

    #[test]
    fn hostile_text_is_refused() {
        let class = |t: &str| match parse_statement(t, &ParserOptions::default()) {
            Ok(_) => "ok".to_string(),
            Err(e) => e.class().to_string(),
        };
        let chain = |n: usize, op: &str| format!("SELECT {}", vec!["a"; n].join(op));
        assert_eq!(class(&chain(20_000, " OR ")), "ok");
        assert_eq!(class(&chain(2_000, " + ")), "ok");
        assert_eq!(class(&chain(100_000, " + ")), "FAILED_TO_PARSE_TOO_COMPLEX");
        assert_eq!(class(&format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500))), "ok");
        assert_eq!(class(&format!("SELECT {}", "(".repeat(100_000))), "FAILED_TO_PARSE_TOO_COMPLEX");
        assert_eq!(class("SELECT 'a"), "PARSE_SYNTAX_ERROR");
        assert_eq!(class("SELECT /* a"), "UNCLOSED_BRACKETED_COMMENT");
    }
}
