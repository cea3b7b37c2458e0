//! The metastore as its callers see it. Error classes and parameters were read from Spark 4.2.

use boathouse_spec::{DataType, Error, StructField, StructType};

use crate::*;

fn table(schema: &str, name: &str) -> TableRecord {
    let columns = vec![
        StructField::new("Id", DataType::Long, false).with_comment(Some("the key")),
        StructField::new("price", DataType::Decimal { precision: 10, scale: 2 }, true),
        StructField::new("day", DataType::Date, true),
    ];
    let mut record = TableRecord::new(
        ObjectName::new(SESSION_CATALOG, schema, name),
        TableKind::Managed,
        Some("DELTA"),
        StructType::new(columns),
    );
    record.partition_columns = vec!["day".into()];
    record.location = Some("file:/w/t/".into());
    record.properties.insert("delta.appendOnly".into(), "true".into());
    record
}

fn parameter(e: &Error, key: &str) -> String {
    e.parameters().iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_new_home_has_the_session_catalog() {
    let catalog = Catalog::in_memory().await.unwrap();
    assert_eq!(catalog.list_catalogs().await.unwrap()[0].name, "spark_catalog");
    assert_eq!(catalog.list_schemas("SPARK_CATALOG").await.unwrap()[0].name.schema, "default");
    let e = catalog.list_schemas("nope").await.unwrap_err();
    assert_eq!((e.class(), parameter(&e, "catalogName")), ("CATALOG_NOT_FOUND", "`nope`".to_string()));
}

#[tokio::test]
async fn schemas_have_sparks_errors() {
    let catalog = Catalog::in_memory().await.unwrap();
    let name = SchemaName::new(SESSION_CATALOG, "X1");
    catalog.create_schema(SchemaRecord::new(name.clone(), "ann")).await.unwrap();
    let e = catalog.create_schema(SchemaRecord::new(name.clone(), "ann")).await.unwrap_err();
    assert_eq!((e.class(), parameter(&e, "schemaName")), ("SCHEMA_ALREADY_EXISTS", "`x1`".to_string()));
    let e = catalog.drop_schema(&SchemaName::new(SESSION_CATALOG, "nope"), false).await.unwrap_err();
    assert_eq!(
        (e.class(), parameter(&e, "schemaName")),
        ("SCHEMA_NOT_FOUND", "`spark_catalog`.`nope`".to_string())
    );
    let e = catalog.drop_schema(&SchemaName::new(SESSION_CATALOG, "default"), true).await.unwrap_err();
    assert_eq!(e.class(), "UNSUPPORTED_FEATURE.DROP_DATABASE");
    let e = catalog
        .create_schema(SchemaRecord::new(SchemaName::new(SESSION_CATALOG, "A b"), "ann"))
        .await
        .unwrap_err();
    assert_eq!((e.class(), parameter(&e, "name")), ("INVALID_SCHEMA_OR_RELATION_NAME", "`a b`".to_string()));

    catalog.create_table(table("x1", "Ta"), OnConflict::Fail).await.unwrap();
    let e = catalog.drop_schema(&name, false).await.unwrap_err();
    assert_eq!((e.class(), parameter(&e, "schemaName")), ("SCHEMA_NOT_EMPTY", "`x1`".to_string()));
    let dropped = catalog.drop_schema(&name, true).await.unwrap();
    assert_eq!(dropped.tables[0].name.name, "ta");
    assert_eq!(catalog.find_schema(&name).await.unwrap(), None);
}

#[tokio::test]
async fn a_record_comes_back_whole() {
    let catalog = Catalog::in_memory().await.unwrap();
    let mut record = table("default", "T");
    record.bucket = Some(boathouse_spec::Bucket {
        count: 4,
        columns: vec!["Id".into()],
        sort: vec![("Id".into(), false)],
    });
    record.comment = Some("it's \"quoted\"".into());
    let (stored, _) = catalog.create_table(record, OnConflict::Fail).await.unwrap();
    let got = catalog.get_table(&ObjectName::new("Spark_Catalog", "DEFAULT", "t")).await.unwrap();
    assert_eq!(got.location.as_deref(), Some("file:/w/t"));
    assert_eq!(got, stored);
    assert_eq!(catalog.tables_at("file:/w/t").await.unwrap().len(), 1);
}

#[tokio::test]
async fn tables_have_sparks_errors() {
    let catalog = Catalog::in_memory().await.unwrap();
    catalog.create_table(table("default", "t"), OnConflict::Fail).await.unwrap();
    let name = ObjectName::new(SESSION_CATALOG, "default", "t");
    let e = catalog.create_table(table("default", "T"), OnConflict::Fail).await.unwrap_err();
    assert_eq!(
        (e.class(), parameter(&e, "relationName")),
        ("TABLE_OR_VIEW_ALREADY_EXISTS", "`spark_catalog`.`default`.`t`".to_string())
    );
    let e = catalog.create_table(table("nope", "t"), OnConflict::Fail).await.unwrap_err();
    assert_eq!(e.class(), "SCHEMA_NOT_FOUND");
    let view = TableRecord::view(name.clone(), StructType::default(), ViewDefinition::default());
    let e = catalog.create_table(view.clone(), OnConflict::Replace).await.unwrap_err();
    assert_eq!(e.class(), "EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE");
    let e = catalog.drop_view(&name).await.unwrap_err();
    assert_eq!(
        (e.class(), parameter(&e, "foundType"), parameter(&e, "objectName")),
        ("WRONG_COMMAND_FOR_OBJECT_TYPE", "MANAGED".to_string(), "spark_catalog.default.t".to_string())
    );
    let other = ObjectName::new(SESSION_CATALOG, "default", "T2");
    catalog.rename_table(&name, &other, "ann").await.unwrap();
    let e = catalog.rename_table(&name, &other, "ann").await.unwrap_err();
    assert_eq!(e.class(), "TABLE_OR_VIEW_NOT_FOUND");
    catalog.drop_table(&other).await.unwrap();
    let e = catalog.drop_table(&other).await.unwrap_err();
    assert_eq!(
        (parameter(&e, "relationName"), parameter(&e, "searchPath")),
        ("`spark_catalog`.`default`.`t2`".to_string(), "[`spark_catalog`.`default`]".to_string())
    );
}

#[tokio::test]
async fn replacing_keeps_the_identity_of_the_same_place() {
    let catalog = Catalog::in_memory().await.unwrap();
    let (first, _) = catalog.create_table(table("default", "t"), OnConflict::Fail).await.unwrap();
    let mut again = table("default", "t");
    again.location = Some("file:/w/t//".into());
    let (second, old) = catalog.create_table(again, OnConflict::Replace).await.unwrap();
    assert_eq!((second.id, old.map(|o| o.id)), (first.id, Some(first.id)));
}

#[tokio::test]
async fn views_keep_their_definition() {
    let catalog = Catalog::in_memory().await.unwrap();
    let definition = ViewDefinition {
        text: "SELECT 1 AS a".into(),
        current_catalog: "spark_catalog".into(),
        current_schema: "default".into(),
        configs: [("spark.sql.ansi.enabled".to_string(), "false".to_string())].into_iter().collect(),
        query_columns: vec!["a".into()],
        schema_mode: ViewSchemaMode::TypeEvolution,
    };
    let name = ObjectName::new(SESSION_CATALOG, "default", "v");
    let schema = StructType::new(vec![StructField::new("b", DataType::Integer, false)]);
    let view = TableRecord::view(name.clone(), schema, definition.clone());
    catalog.create_table(view, OnConflict::Fail).await.unwrap();
    assert_eq!(catalog.get_table(&name).await.unwrap().view, Some(definition));
    assert_eq!(catalog.view_rows(SESSION_CATALOG).await.unwrap()[0].view_definition, "SELECT 1 AS a");
    catalog.drop_view(&name).await.unwrap();
}

#[tokio::test]
async fn functions_come_back_whole() {
    let catalog = Catalog::in_memory().await.unwrap();
    let name = ObjectName::new(SESSION_CATALOG, "default", "F");
    let parameters = vec![ParameterRecord {
        name: "a".into(),
        data_type: DataType::String { collation: Some("UTF8_LCASE".into()) },
        default: Some("'x'".into()),
        comment: None,
    }];
    let mut f = FunctionRecord::new(name.clone(), parameters, Some(DataType::Integer), "length(a)");
    f.deterministic = Some(true);
    let (stored, _) = catalog.create_function(f.clone(), OnConflict::Fail).await.unwrap();
    assert_eq!(catalog.get_function(&name).await.unwrap(), stored);
    let e = catalog.create_function(f, OnConflict::Fail).await.unwrap_err();
    assert_eq!(
        (e.class(), parameter(&e, "routineName")),
        ("ROUTINE_ALREADY_EXISTS", "`default`.`f`".to_string())
    );
    let rows = catalog.parameter_rows(SESSION_CATALOG).await.unwrap();
    assert_eq!((rows[0].parameter_name.as_str(), rows[0].parameter_default.as_deref()), ("a", Some("'x'")));
    catalog.drop_function(&name).await.unwrap();
    let e = catalog.drop_function(&name).await.unwrap_err();
    assert_eq!(e.class(), "ROUTINE_NOT_FOUND");
}

#[tokio::test]
async fn other_catalogs_come_and_go() {
    let catalog = Catalog::in_memory().await.unwrap();
    catalog.create_catalog("Main", Some("c"), None, &Properties::new(), "ann").await.unwrap();
    let e = catalog.create_catalog("main", None, None, &Properties::new(), "ann").await.unwrap_err();
    assert_eq!(e.class(), "CATALOG_ALREADY_EXISTS");
    catalog.create_schema(SchemaRecord::new(SchemaName::new("main", "a-b"), "ann")).await.unwrap();
    let e = catalog.drop_catalog("main", false).await.unwrap_err();
    assert_eq!(e.class(), "CATALOG_NOT_EMPTY");
    assert_eq!(catalog.drop_catalog("main", true).await.unwrap().len(), 2);
    assert!(catalog.drop_catalog(SESSION_CATALOG, true).await.is_err());
}

#[tokio::test]
async fn information_schema_describes_columns() {
    let catalog = Catalog::in_memory().await.unwrap();
    catalog.create_table(table("default", "t"), OnConflict::Fail).await.unwrap();
    let rows = catalog.column_rows(SESSION_CATALOG).await.unwrap();
    assert_eq!((rows[0].column_name.as_str(), rows[0].is_nullable.as_str()), ("Id", "NO"));
    assert_eq!(rows[0].comment.as_deref(), Some("the key"));
    assert_eq!(
        (
            rows[1].facets.full_data_type.as_str(),
            rows[1].facets.numeric_precision,
            rows[1].facets.numeric_scale
        ),
        ("decimal(10,2)", Some(10), Some(2))
    );
    assert_eq!(rows[2].partition_ordinal_position, Some(1));
    let tables = catalog.table_rows(SESSION_CATALOG).await.unwrap();
    assert_eq!(tables[0].data_source_format.as_deref(), Some("DELTA"));
}

/// The first to open a file switches it to write-ahead mode; the others find it locked without a wait by SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_is_opened_by_many_at_once() {
    let directory = std::env::temp_dir().join(format!("boathouse-catalog-{}", uuid::Uuid::new_v4()));
    for i in 0..20 {
        let file = directory.join(format!("{i}.db"));
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                tokio::spawn(async move { Catalog::open(file).await })
            })
            .collect();
        for handle in opening {
            let handle = handle.await.unwrap().unwrap();
            assert_eq!(handle.list_schemas(SESSION_CATALOG).await.unwrap().len(), 1);
            handle.close().await;
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// Two handles are what two processes are: separate connections to one file.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_share_a_file() {
    let directory = std::env::temp_dir().join(format!("boathouse-catalog-{}", uuid::Uuid::new_v4()));
    let file = directory.join("metastore.db");
    let (a, b) = tokio::join!(Catalog::open(&file), Catalog::open(&file));
    let handles = [a.unwrap(), b.unwrap()];
    let mut tasks = Vec::new();
    for i in 0..40 {
        // Each name is created through both handles at once: exactly one wins.
        for handle in &handles {
            let handle = handle.clone();
            tasks.push(tokio::spawn(async move {
                handle.create_table(table("default", &format!("t{i}")), OnConflict::Fail).await
            }));
        }
    }
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(e) => assert_eq!(e.class(), "TABLE_OR_VIEW_ALREADY_EXISTS", "{e}"),
        }
    }
    assert_eq!(won, 40);
    let default = SchemaName::new(SESSION_CATALOG, "default");
    assert_eq!(handles[0].list_tables(&default).await.unwrap().len(), 40);

    // Increments through both handles: none is lost.
    let name = ObjectName::new(SESSION_CATALOG, "default", "t0");
    let mut tasks = Vec::new();
    for i in 0..40 {
        let (handle, name) = (handles[i % 2].clone(), name.clone());
        tasks.push(tokio::spawn(async move {
            handle
                .alter_table(&name, "ann", |t| {
                    let n: u32 = t.properties.get("n").and_then(|n| n.parse().ok()).unwrap_or(0);
                    t.properties.insert("n".into(), (n + 1).to_string());
                    Ok(())
                })
                .await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let got = handles[1].get_table(&name).await.unwrap();
    assert_eq!(got.properties.get("n").map(String::as_str), Some("40"));
    handles[0].close().await;
    handles[1].close().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_version_has_one_commit() {
    let catalog = Catalog::in_memory().await.unwrap();
    catalog.create_schema(SchemaRecord::new(SchemaName::new(SESSION_CATALOG, "s"), "ann")).await.unwrap();
    let id = uuid::Uuid::new_v4();
    assert_eq!(catalog.ratified_commits(id).await.unwrap(), None);
    assert!(!catalog.ratify_commit(id, 0, "0").await.unwrap(), "of a table that it does not manage");

    catalog.manage_commits(id).await.unwrap();
    for (version, file, is_next) in
        [(1, "1", false), (0, "0", true), (0, "a", false), (2, "2", false), (1, "1", true)]
    {
        assert_eq!(catalog.ratify_commit(id, version, file).await.unwrap(), is_next, "{version} {file}");
    }
    let commits = |latest, unpublished: &[(i64, &str)]| {
        let unpublished = unpublished.iter().map(|(version, file)| (*version, file.to_string())).collect();
        Some(RatifiedCommits { latest, unpublished })
    };
    assert_eq!(catalog.ratified_commits(id).await.unwrap(), commits(1, &[(0, "0"), (1, "1")]));
    catalog.commits_are_published(id, 0).await.unwrap();
    assert_eq!(catalog.ratified_commits(id).await.unwrap(), commits(1, &[(1, "1")]));

    // The table gets its name when it is made, is changed, replaced and renamed, and stays the same.
    let mut record = TableRecord { id, ..table("s", "t") };
    for conflict in [OnConflict::Fail, OnConflict::Replace] {
        record = catalog.create_table(record, conflict).await.unwrap().0;
    }
    let name = record.name.clone();
    catalog
        .alter_table(&name, "ann", |r| {
            r.comment = Some("c".into());
            Ok(())
        })
        .await
        .unwrap();
    let other = ObjectName::new(SESSION_CATALOG, "s", "other");
    catalog.rename_table(&name, &other, "ann").await.unwrap();
    let found = catalog.get_table(&other).await.unwrap();
    assert_eq!((found.id, found.manages_commits), (id, true));
    assert_eq!(catalog.ratified_commits(id).await.unwrap(), commits(1, &[(1, "1")]));
    catalog.drop_table(&other).await.unwrap();
    assert_eq!(catalog.ratified_commits(id).await.unwrap(), None);
}
