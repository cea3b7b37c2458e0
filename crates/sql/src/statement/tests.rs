//! Statements, by what they mean.

use boathouse_spec::*;

use crate::{ParserOptions, parse_statement, parse_statements};

fn parse(text: &str) -> Result<Command> {
    match parse_statement(text, &ParserOptions::default())? {
        Plan::Command(command) => Ok(*command),
        Plan::Query(_) => Err(Error::internal("a query")),
    }
}

fn command(text: &str) -> Command {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn class(text: &str) -> String {
    match parse_statement(text, &ParserOptions::default()) {
        Ok(_) => "ok".to_string(),
        Err(e) => e.class().to_string(),
    }
}

fn name(text: &str) -> Name {
    text.split('.').map(str::to_string).collect()
}

#[test]
fn create_table() {
    let text = "CREATE TABLE IF NOT EXISTS a.t (i BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 5), \
                s STRING NOT NULL DEFAULT 'x' || 'y' COMMENT 'c' MASK f USING COLUMNS (i), \
                d DATE GENERATED ALWAYS AS (CAST(ts AS DATE)), CONSTRAINT pk PRIMARY KEY (i) RELY, CHECK (i > 0)) \
                USING DELTA PARTITIONED BY (d) COMMENT 'table' LOCATION '/p' TBLPROPERTIES ('a.b' = 'c', d = 1)";
    let Command::CreateTable(table) = command(text) else { panic!() };
    assert_eq!(
        (table.name, table.mode, table.provider.as_deref()),
        (name("a.t"), CreateMode::IfNotExists, Some("DELTA"))
    );
    assert_eq!(table.columns[0].identity, Some(Identity { start: 5, step: 1, allow_explicit: false }));
    let s = &table.columns[1];
    assert_eq!((s.nullable, s.comment.as_deref(), s.mask.clone()), (false, Some("c"), Some(name("f"))));
    assert_eq!(s.default.as_ref().map(|d| d.text.as_str()), Some("'x' || 'y'"));
    assert_eq!(table.columns[2].generated.as_ref().map(|d| d.text.as_str()), Some("CAST(ts AS DATE)"));
    assert_eq!(table.partition_by, [PartitionField::Column(name("d"))]);
    assert_eq!(table.constraints.len(), 2);
    assert_eq!(table.properties, [("a.b".into(), "c".into()), ("d".into(), "1".into())]);

    let Command::CreateTable(table) =
        command("CREATE OR REPLACE TABLE t USING csv OPTIONS (path '/x') AS SELECT 1")
    else {
        panic!()
    };
    assert!(table.query.is_some() && table.mode == CreateMode::OrReplace);
    assert_eq!(table.options, [("path".into(), "/x".into())]);
    assert!(matches!(command("CREATE TABLE t LIKE s"), Command::CreateTable(t) if t.like == Some(name("s"))));
    assert!(matches!(
        command("CREATE TABLE t SHALLOW CLONE s VERSION AS OF 3"),
        Command::Clone { shallow: true, .. }
    ));
    assert_eq!(class("CREATE TABLE t (a INT) COMMENT 'a' COMMENT 'b'"), "DUPLICATE_CLAUSES");
    assert_eq!(class("CREATE TABLE t (a INT) AS SELECT 1"), "_LEGACY_ERROR_TEMP_0035");
    assert_eq!(class("CREATE TABLE t (a-b INT)"), "INVALID_IDENTIFIER");
}

#[test]
fn alter_table() {
    let changes = |text: &str| match command(text) {
        Command::AlterTable { changes, .. } => changes,
        other => panic!("{other:?}"),
    };
    let column = |change| TableChange::AlterColumn { column: name("a"), change };
    assert_eq!(
        changes("ALTER TABLE t ALTER COLUMN a TYPE BIGINT, a DROP NOT NULL"),
        [column(ColumnChange::Type(DataType::Long)), column(ColumnChange::DropNotNull)]
    );
    assert_eq!(
        changes("ALTER TABLE t CHANGE a a BIGINT COMMENT 'x' AFTER b"),
        [
            column(ColumnChange::Type(DataType::Long)),
            column(ColumnChange::Comment(Some("x".into()))),
            column(ColumnChange::Position(ColumnPosition::After("b".into()))),
        ]
    );
    assert!(matches!(&changes("ALTER TABLE t ADD COLUMNS (a.b INT FIRST, c STRING)")[0],
        TableChange::AddColumns { columns, .. } if columns[0].name == name("a.b") && columns.len() == 2));
    assert_eq!(
        changes("ALTER TABLE t SET ROW FILTER f ON (a)"),
        [TableChange::SetRowFilter { function: name("f"), columns: vec!["a".into()] }]
    );
    assert_eq!(changes("ALTER TABLE t CLUSTER BY NONE"), [TableChange::ClusterBy(None)]);
    assert_eq!(
        changes("ALTER TABLE t DROP FEATURE x TRUNCATE HISTORY"),
        [TableChange::DropFeature { name: "x".into(), truncate_history: true }]
    );
    assert!(matches!(command("ALTER VIEW v RENAME TO w"), Command::AlterTable { is_view: true, .. }));
    assert_eq!(class("ALTER TABLE t TOUCH"), "INVALID_STATEMENT_OR_CLAUSE");
}

#[test]
fn views_and_functions_keep_their_text() {
    let Command::CreateView(view) = command("CREATE VIEW v (a COMMENT 'x') AS  SELECT 1 /* one */ , 2 ;")
    else {
        panic!()
    };
    assert_eq!(view.query.map(|q| q.text).as_deref(), Some("SELECT 1 /* one */ , 2"));
    assert_eq!(view.columns, [("a".to_string(), Some("x".to_string()))]);
    let Command::CreateFunction(f) = command("CREATE FUNCTION f(a INT DEFAULT 1) RETURNS INT RETURN a + 1")
    else {
        panic!()
    };
    assert!(matches!(&f.body, FunctionBody::Expression(e) if e.text == "a + 1"));
    assert_eq!(f.parameters[0].default.as_ref().map(|d| d.text.as_str()), Some("1"));
    let Command::CreateFunction(f) = command("CREATE FUNCTION f() RETURNS TABLE (x INT) RETURN SELECT 1")
    else {
        panic!()
    };
    assert!(matches!(&f.body, FunctionBody::Query(q) if q.text == "SELECT 1"));
    let Command::CreateFunction(f) =
        command("CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE PYTHON AS $$\nreturn a\n$$")
    else {
        panic!()
    };
    assert_eq!(
        (f.body, f.language.as_deref()),
        (FunctionBody::Source("\nreturn a\n".into()), Some("PYTHON"))
    );
    assert_eq!(class("CREATE TEMPORARY VIEW a.v AS SELECT 1"), "INVALID_TEMP_OBJ_QUALIFIER");
    assert!(matches!(command("CREATE TEMP VIEW v (a INT) USING csv OPTIONS (x 'y')"), Command::CreateView(v)
        if matches!(v.source.as_ref().map(|r| r.node.as_ref()), Some(RelationNode::DataSource(d)) if d.format == "csv")));
}

#[test]
fn rows() {
    let Command::Insert(insert) = command("INSERT INTO t (a, b) VALUES (1, DEFAULT)") else { panic!() };
    let RelationNode::Values(rows) = insert.query.node.as_ref() else { panic!() };
    assert_eq!(rows[0][1], Expr::Default);
    assert_eq!(
        class("INSERT OVERWRITE t PARTITION (a = 1, b) IF NOT EXISTS SELECT 1"),
        "_LEGACY_ERROR_TEMP_0035"
    );
    let Command::Insert(insert) = command("INSERT OVERWRITE t PARTITION (a = 1, b) SELECT 1") else {
        panic!()
    };
    assert_eq!(insert.mode, InsertMode::Overwrite);
    assert!(matches!(command("INSERT INTO t REPLACE WHERE a > 1 SELECT 1"), Command::Insert(i)
        if matches!(i.mode, InsertMode::ReplaceWhere(_))));
    assert!(
        matches!(command("FROM s INSERT INTO a SELECT x INSERT INTO b SELECT y"), Command::MultiInsert(i) if i.len() == 2)
    );
    let with = "WITH c AS (SELECT 1 AS i) DELETE FROM t AS x WHERE x.i IN (SELECT i FROM c)";
    assert!(
        matches!(command(with), Command::Delete { alias: Some(a), condition: Some(Expr::InSubquery { query, .. }), .. }
        if a == "x" && matches!(query.node.as_ref(), RelationNode::With { .. }))
    );
    let merge = "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS i) s ON t.i = s.i WHEN MATCHED AND a THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET t.b = DEFAULT WHEN NOT MATCHED THEN INSERT (i) VALUES (s.i) \
                 WHEN NOT MATCHED BY SOURCE THEN DELETE";
    let Command::Merge(merge) = command(merge) else { panic!() };
    assert_eq!((merge.matched.len(), merge.not_matched.len(), merge.not_matched_by_source.len()), (2, 1, 1));
    assert_eq!(merge.matched[1].action, MergeAction::Update(vec![(Expr::column(["t", "b"]), Expr::Default)]));
    assert_eq!(class("MERGE INTO t USING s ON a"), "MERGE_WITHOUT_WHEN");
}

#[test]
fn session() {
    let set = |k: &str, v: &str| Command::Set { key: k.into(), value: v.into() };
    assert_eq!(command("SET spark.sql.x = a b 'c';"), set("spark.sql.x", "a b 'c'"));
    assert_eq!(command("SET `a b` = `c;d`"), set("a b", "c;d"));
    assert_eq!(command("SET a.b"), Command::ShowSetting { key: "a.b".into() });
    assert_eq!(command("SET -v"), Command::ShowSettings { verbose: true });
    assert_eq!(class("SET a b"), "INVALID_SET_SYNTAX");
    assert_eq!(command("RESET a.b"), Command::Reset { key: Some("a.b".into()) });
    assert_eq!(command("SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE"), {
        Command::SetTimeZone(TimeZoneSetting::Offset(-30_600))
    });
    assert!(
        matches!(command("SET VAR a = 1, b = DEFAULT"), Command::SetVariables { assignments } if assignments[1].1 == Expr::Default)
    );
    assert_eq!(command("USE CATALOG c"), Command::Use(UseTarget::Catalog(name("c"))));
    assert_eq!(command("USE a.b"), Command::Use(UseTarget::Any(name("a.b"))));
    assert!(
        matches!(command("DECLARE a, b INT = 1 + 1"), Command::DeclareVariable { names, default: Some(d), .. }
        if names.len() == 2 && d.text == "1 + 1")
    );
    assert!(
        matches!(command("EXECUTE IMMEDIATE 'SELECT ?' INTO x USING 1 AS a"), Command::ExecuteImmediate { into, using, .. }
        if into.len() == 1 && using.len() == 1)
    );
    assert!(matches!(command("BEGIN SELECT 1; END"), Command::Script(block) if block.body.len() == 1));
}

#[test]
fn identifier_clauses() {
    assert_eq!(
        command("DROP TABLE IDENTIFIER('a.' || 'b')"),
        Command::DropTable { name: name("a.b"), if_exists: false, purge: false }
    );
    let text = "DROP TABLE IDENTIFIER(x)";
    assert_eq!(
        command(text),
        Command::IdentifierClause { text: text.into(), identifiers: vec![Expr::column(["x"])] }
    );
    let options = ParserOptions { identifiers: vec!["a.b".into()], ..ParserOptions::default() };
    let plan = parse_statement(text, &options).ok();
    let expected = Command::DropTable { name: name("a.b"), if_exists: false, purge: false };
    assert_eq!(plan, Some(Plan::Command(Box::new(expected))));
}

#[test]
fn describing() {
    assert_eq!(
        command("SHOW TABLES IN a LIKE 'x'"),
        Command::ShowTables { schema: Some(name("a")), pattern: Some("x".into()) }
    );
    assert_eq!(command("SHOW FUNCTIONS a.b"), {
        Command::ShowFunctions {
            scope: FunctionScope::All,
            schema: Some(name("a")),
            pattern: Some("b".into()),
        }
    });
    assert_eq!(
        command("DESC FUNCTION EXTENDED <=>"),
        Command::DescribeFunction { name: name("<=>"), extended: true }
    );
    assert!(matches!(command("DESCRIBE EXTENDED t"), Command::DescribeTable { extended: true, .. }));
    assert!(
        matches!(command("DESCRIBE history"), Command::DescribeTable { table, .. } if table == name("history"))
    );
    assert!(matches!(command("DESC SELECT 1"), Command::DescribeQuery(_)));
    assert!(matches!(
        command("EXPLAIN FORMATTED SELECT 1"),
        Command::Explain { mode: ExplainMode::Formatted, .. }
    ));
    assert_eq!(command("DESCRIBE HISTORY '/p' LIMIT 2"), {
        Command::DescribeHistory { table: vec!["delta".into(), "/p".into()], limit: Some(2) }
    });
}

#[test]
fn delta() {
    let at = |text: &str| match command(text) {
        Command::Restore { to, .. } => to,
        other => panic!("{other:?}"),
    };
    assert_eq!(at("RESTORE t TO VERSION AS OF 3"), TimeTravel::Version(Expr::literal(Literal::Long(3))));
    assert_eq!(
        at("RESTORE TABLE t TIMESTAMP AS OF '2024-01-01'"),
        TimeTravel::Timestamp(Expr::string("2024-01-01"))
    );
    assert_eq!(
        command("VACUUM delta.`/p` DRY RUN RETAIN 0 HOURS"),
        Command::Vacuum {
            table: vec!["delta".into(), "/p".into()],
            retain_hours: Some(0.0),
            dry_run: true,
            mode: VacuumMode::Default,
            inventory: None,
        }
    );
    assert!(
        matches!(command("OPTIMIZE t WHERE a = 'b' ZORDER BY (c, d.e)"), Command::Optimize { condition: Some(c), zorder_by, .. }
        if c.text == "a = 'b'" && zorder_by.len() == 2)
    );
    assert!(matches!(command("REORG TABLE t APPLY (PURGE)"), Command::Reorg { condition: None, .. }));
    assert!(matches!(
        command("REORG TABLE t APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = 2))"),
        Command::UpgradeUniform { version: 2, .. }
    ));
    let copy = "COPY INTO t FROM (SELECT a::int FROM '/p') FILEFORMAT = JSON PATTERN = '*.json' COPY_OPTIONS ('force' = 'true')";
    assert!(
        matches!(command(copy), Command::CopyInto(c) if c.format == "json" && c.select.is_some() && c.copy_options.len() == 1)
    );
}

#[test]
fn pipelines() {
    let text = "CREATE OR REFRESH STREAMING TABLE t (a INT, CONSTRAINT ok EXPECT (a > 0) ON VIOLATION DROP ROW) \
                AS SELECT * FROM STREAM read_files('/p')";
    let Command::Pipeline(statement) = command(text) else { panic!() };
    let PipelineStatement::CreateDataset(dataset) = *statement else { panic!() };
    assert_eq!((dataset.kind, dataset.or_refresh), (PipelineDatasetKind::StreamingTable, true));
    assert!(
        matches!(&dataset.constraints[0], TableConstraint::Expectation { condition, action: Violation::Drop, .. }
        if condition.text == "a > 0")
    );
    let cdc = "CREATE FLOW f AS AUTO CDC INTO t FROM STREAM(s) KEYS (k) SEQUENCE BY ts COLUMNS * EXCEPT (op) STORED AS SCD TYPE 2";
    let Command::Pipeline(statement) = command(cdc) else { panic!() };
    assert!(matches!(
        *statement,
        PipelineStatement::AutoCdc(AutoCdc { scd_type: 2, columns: ChangeColumns::Except(_), .. })
    ));
}

#[test]
fn governance() {
    let Command::Governance(grant) = command("GRANT SELECT(a, b), MODIFY ON TABLE c.s.t TO `x@y`") else {
        panic!()
    };
    let expected = GovernanceStatement::Grant {
        privileges: vec![
            Privilege { name: "SELECT".into(), columns: vec!["a".into(), "b".into()] },
            Privilege { name: "MODIFY".into(), columns: vec![] },
        ],
        on: Securable { kind: SecurableKind::Table, name: name("c.s.t") },
        to: Principal { kind: PrincipalKind::Any, name: "x@y".into() },
    };
    assert_eq!(*grant, expected);
    for text in [
        "REVOKE USE CATALOG ON CATALOG c FROM g",
        "DENY SELECT ON SCHEMA s TO USER u",
        "SHOW GRANTS u ON TABLE t",
        "CREATE SHARE s",
        "ALTER SHARE s ADD TABLE a.b AS c.d WITH HISTORY",
        "CREATE RECIPIENT r COMMENT 'x'",
        "CREATE TOKEN FOR USER `u@v`",
        "ALTER GROUP g ADD USER u, GROUP h",
        "CREATE EXTERNAL VOLUME a.b.v LOCATION '/x'",
        "SHOW VOLUMES IN a.b",
        "DROP VOLUME IF EXISTS v",
    ] {
        assert!(matches!(command(text), Command::Governance(_)), "{text}");
    }
}

#[test]
fn several_statements() {
    let parsed = parse_statements("SELECT 1; -- x\nUSE a;", &ParserOptions::default());
    let texts: Vec<String> = parsed.into_iter().flatten().map(|(text, _)| text).collect();
    assert_eq!(texts, ["SELECT 1", "USE a"]);
    assert_eq!(class("  -- nothing"), "PARSE_EMPTY_STATEMENT");
    assert_eq!(class("SELECT 1;;"), "ok");
    assert_eq!(class("SELECT 1; SELECT 2"), "PARSE_SYNTAX_ERROR");
}
