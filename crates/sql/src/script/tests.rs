//! Scripts as Spark 4.2 reads them; what they do is in `tests/sql/scripts.sql`.

use boathouse_spec::{
    Command, Expr, HandledCondition, Literal, Plan, ScriptBlock, ScriptLoopKind, ScriptStatement,
};

use crate::{Parameters, ParserOptions, parse_statement};

fn script(text: &str) -> ScriptBlock {
    match parse_statement(text, &ParserOptions::default()) {
        Ok(Plan::Command(command)) => match *command {
            Command::Script(block) => block,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn class(text: &str) -> String {
    match parse_statement(text, &ParserOptions::default()) {
        Ok(_) => "ok".to_string(),
        Err(error) => error.class().to_string(),
    }
}

#[test]
fn blocks_have_declarations_handlers_and_statements() {
    let block = script(
        "BEGIN DECLARE a, b INT = 1; DECLARE EXIT HANDLER FOR SQLSTATE VALUE '22012', divide_by_zero SELECT 1; l: BEGIN END l; END;",
    );
    assert_eq!(block.body.len(), 2);
    assert!(matches!(&block.body[1], ScriptStatement::Block(inner) if inner.label.as_deref() == Some("l")));
    let named = HandledCondition::Named("DIVIDE_BY_ZERO".to_string());
    let expected = [HandledCondition::SqlState("22012".to_string()), named];
    assert_eq!(block.handlers[0].conditions, expected);
}

#[test]
fn do_ends_the_query_of_a_loop() {
    let block = script("BEGIN FOR r AS SELECT id FROM range(3) DO SELECT r.id; END FOR; END");
    let ScriptStatement::Loop(found) = &block.body[0] else { panic!("{:?}", block.body) };
    assert!(matches!(&found.kind, ScriptLoopKind::For { variable: Some(v), .. } if v == "r"));
}

#[test]
fn identifiers_by_variable_wait_for_their_values() {
    let block = script("BEGIN SET x = (SELECT 1 FROM IDENTIFIER(v)); SELECT 1; END");
    let deferred = |s: &ScriptStatement| match s {
        ScriptStatement::Plan(Plan::Command(c)) => match &**c {
            Command::IdentifierClause { text, .. } => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    assert!(block.body.iter().all(|s| deferred(s).is_none_or(|t| t.starts_with("SET VARIABLE x ="))));
}

#[test]
fn errors_of_scripts() {
    for (text, expected) in [
        ("BEGIN SELECT 1; END; SELECT 2", "PARSE_SYNTAX_ERROR"),
        ("l: BEGIN SELECT 1; END", "PARSE_SYNTAX_ERROR"),
        ("BEGIN IF true THEN END IF; END", "PARSE_SYNTAX_ERROR"),
        ("BEGIN SET TIME ZONE 'UTC'; END", "PARSE_SYNTAX_ERROR"),
        ("BEGIN a: BEGIN END b; END", "LABELS_MISMATCH"),
        ("BEGIN a: BEGIN END b; END x y", "PARSE_SYNTAX_ERROR"),
        ("BEGIN SELECT 1; END x", "PARSE_SYNTAX_ERROR"),
        ("BEGIN END END", "PARSE_SYNTAX_ERROR"),
        ("BEGIN BEGIN END x; END", "END_LABEL_WITHOUT_BEGIN_LABEL"),
        ("BEGIN SELECT 1; DECLARE v INT; END", "INVALID_VARIABLE_DECLARATION.ONLY_AT_BEGINNING"),
        ("BEGIN system: BEGIN END; END", "LABEL_OR_FOR_VARIABLE_NAME_FORBIDDEN"),
        (
            "BEGIN DECLARE EXIT HANDLER FOR NOT FOUND, SQLSTATE '02000' SELECT 1; END",
            "INVALID_HANDLER_DECLARATION.INVALID_CONDITION_COMBINATION",
        ),
        ("BEGIN DECLARE EXIT HANDLER FOR NOT FOUND, SQLEXCEPTION SELECT 1; END", "ok"),
        ("BEGIN LEAVE l; END", "INVALID_LABEL_USAGE.DOES_NOT_EXIST"),
    ] {
        assert_eq!(class(text), expected, "{text}");
    }
}

/// The parameters of a cursor have the values that OPEN gives, whatever the script was given.
#[test]
fn cursors_keep_their_parameters() {
    let parameters =
        Parameters { named: vec![("a".into(), Expr::literal(Literal::Integer(5)))], positional: vec![] };
    let options = ParserOptions { cursors: true, parameters: Some(parameters), ..ParserOptions::default() };
    let class = |text: &str| parse_statement(text, &options).err().map(|e| e.class().to_string());
    assert_eq!(class("BEGIN DECLARE c CURSOR FOR SELECT :b, :a; OPEN c USING :a AS b; END"), None);
    assert_eq!(class("BEGIN DECLARE c CURSOR FOR SELECT ?, ?; OPEN c USING :a, 2; END"), None);
    let unbound = Some("UNBOUND_SQL_PARAMETER".to_string());
    assert_eq!(class("BEGIN DECLARE c CURSOR FOR SELECT :b; OPEN c; SELECT 1, :b; END"), unbound);
}
