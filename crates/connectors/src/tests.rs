//! Files as their readers and writers see them. Expected rows and schemas were printed by Spark 4.2.

use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use boathouse_bridge::from_datafusion;
use boathouse_formats::options::SessionDefaults;
use boathouse_spec::{DataType, Error, Result, SaveMode, StructField, StructType};
use datafusion::catalog::TableProvider;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::{Context, FileTable, Paths, Stores, open, write};

struct Home {
    directory: tempfile::TempDir,
    context: Context,
    session: SessionContext,
}

fn home() -> Home {
    // One partition: rows come in the order of the files.
    home_with(1)
}

fn home_with(partitions: usize) -> Home {
    let directory = tempfile::tempdir().unwrap();
    let stores = Arc::new(Stores::new());
    let context = Context::new(
        Paths::new(directory.path(), directory.path()),
        stores.clone(),
        SessionDefaults::default(),
    );
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(stores).build_arc().unwrap();
    let config = SessionConfig::new().with_target_partitions(partitions);
    Home { directory, context, session: SessionContext::new_with_config_rt(config, runtime) }
}

fn options(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn schema(ddl: &str) -> StructType {
    let fields = ddl.split(';').map(|f| {
        let (name, t) = f.trim().split_once(' ').unwrap();
        StructField::new(name, DataType::from_json(&format!("\"{}\"", t.trim())).unwrap(), true)
    });
    StructType::new(fields.collect())
}

fn show(batches: &[RecordBatch]) -> Vec<String> {
    let format = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &format).unwrap().value(row).to_string());
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows
}

impl Home {
    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    async fn open(
        &self,
        format: &str,
        ddl: Option<&str>,
        given: &[(&str, &str)],
        path: &str,
    ) -> Result<FileTable> {
        open(format, ddl.map(schema).as_ref(), &options(given), &[path.to_string()], &self.context).await
    }

    async fn rows(&self, table: FileTable) -> Result<Vec<String>> {
        let frame = self.session.read_table(Arc::new(table)).map_err(from_datafusion)?;
        Ok(show(&frame.collect().await.map_err(from_datafusion)?))
    }

    async fn read(
        &self,
        format: &str,
        ddl: Option<&str>,
        given: &[(&str, &str)],
        path: &str,
    ) -> Result<Vec<String>> {
        self.rows(self.open(format, ddl, given, path).await?).await
    }

    /// Writes what a table has.
    async fn copy(
        &self,
        table: FileTable,
        format: &str,
        given: &[(&str, &str)],
        partition_by: &[&str],
        mode: SaveMode,
        path: &str,
    ) -> Result<crate::Written> {
        let schema = table.spark_schema().clone();
        let state = self.session.state();
        let plan = table.scan(&state, None, &[], None).await.map_err(from_datafusion)?;
        let by: Vec<String> = partition_by.iter().map(|s| s.to_string()).collect();
        write(
            format,
            plan,
            self.session.task_ctx(),
            &schema,
            &options(given),
            &by,
            mode,
            None,
            path,
            &self.context,
        )
        .await
    }

    fn list(&self, path: &str) -> Vec<String> {
        fn walk(directory: &FilePath, base: &FilePath, out: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, base, out);
                } else {
                    out.push(path.strip_prefix(base).unwrap().display().to_string());
                }
            }
        }
        let mut out = Vec::new();
        let base = self.directory.path().join(path);
        walk(&base, &base, &mut out);
        out.sort();
        out
    }

    /// The texts of all part files of a directory, in the order of their names.
    fn text(&self, path: &str) -> String {
        let base = self.directory.path().join(path);
        let parts = self.list(path).into_iter().filter(|f| !f.starts_with('_'));
        parts.map(|f| std::fs::read_to_string(base.join(f)).unwrap()).collect()
    }
}

fn ddl(table: &FileTable) -> String {
    DataType::Struct(table.spark_schema().clone()).simple_string()
}

#[tokio::test]
async fn json_files() {
    let home = home();
    home.put("j/a.json", "{\"b\":1,\"a\":\"x\"}\n{\"b\":2.5}\n\n");
    home.put("j/b c%20.json", "{\"a\":\"y\",\"c\":[1]}\r\n{bad\r\n");
    home.put("j/_SUCCESS", "");
    let table = home.open("json", None, &[], "j").await.unwrap();
    assert_eq!(ddl(&table), "struct<_corrupt_record:string,a:string,b:double,c:array<bigint>>");
    assert_eq!(
        home.rows(table).await.unwrap(),
        ["null|x|1.0|null", "null|null|2.5|null", "null|y|null|[1]", "{bad|null|null|null"]
    );
    assert_eq!(
        home.read("json", Some("a string"), &[("mode", "DROPMALFORMED")], "j").await.unwrap(),
        ["x", "null", "y"]
    );
    home.put("ml/a.json", "[{\"a\":1},\n {\"a\":2}]");
    assert_eq!(home.read("json", None, &[("multiLine", "true")], "ml").await.unwrap(), ["1", "2"]);
    home.put("empty/a.json", "");
    assert_eq!(ddl(&home.open("json", None, &[], "empty").await.unwrap()), "struct<>");
    home.put("hidden/_x.json", "{}");
    assert_eq!(home.open("json", None, &[], "hidden").await.unwrap_err().class(), "UNABLE_TO_INFER_SCHEMA");
    assert_eq!(home.open("json", None, &[], "nope").await.unwrap_err().class(), "PATH_NOT_FOUND");
    home.put("dup/a.json", "{\"A\":1}\n{\"a\":2}");
    let e = home.open("json", None, &[], "dup").await.unwrap_err();
    assert_eq!((e.class(), e.parameters()[0].1.as_str()), ("COLUMN_ALREADY_EXISTS", "`a`"));
}

#[tokio::test]
async fn what_is_corrupt_depends_on_what_is_read() {
    let home = home();
    home.put("j/a.json", "{\"a\":1}\nfoo\n");
    let table = Arc::new(home.open("json", Some("a int; _corrupt_record string"), &[], "j").await.unwrap());
    let frame = home.session.read_table(table).unwrap();
    let e = from_datafusion(
        frame.clone().select_columns(&["_corrupt_record"]).unwrap().collect().await.unwrap_err(),
    );
    assert_eq!(e.class(), "UNSUPPORTED_FEATURE.QUERY_ONLY_CORRUPT_RECORD_COLUMN");
    assert_eq!(show(&frame.clone().collect().await.unwrap()), ["1|null", "null|foo"]);
    assert_eq!(frame.count().await.unwrap(), 2);
}

#[tokio::test]
async fn failures_name_the_file() {
    let home = home();
    home.put("j/a b.json", "{\"a\":\"x\"}\n");
    let e = home.read("json", Some("a int"), &[("mode", "FAILFAST")], "j").await.unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.NO_HINT");
    assert!(e.parameters()[0].1.starts_with("file:///") && e.parameters()[0].1.ends_with("/j/a%20b.json"));
    assert!(e.cause().unwrap().contains("MALFORMED_RECORD_IN_PARSING"), "{e}");

    home.put("gz/a.json.gz", b"this is no gzip");
    let e = home.read("json", Some("a int"), &[], "gz").await.unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.NO_HINT");
    let rows = home.read("json", Some("a int"), &[("ignoreCorruptFiles", "true")], "gz").await.unwrap();
    assert_eq!(rows, Vec::<String>::new());

    let table = home.open("json", Some("a int"), &[], "j").await.unwrap();
    std::fs::remove_file(home.directory.path().join("j/a b.json")).unwrap();
    assert_eq!(home.rows(table).await.unwrap_err().class(), "FAILED_READ_FILE.FILE_NOT_EXIST");
}

#[tokio::test]
async fn csv_files() {
    let home = home();
    home.put("c/1.csv", "\u{feff}id,name\n1,\"a,b\"\n2,c\n");
    home.put("c/2.csv", "id,name\n3,d\n\n");
    let given = [("header", "true"), ("inferSchema", "true")];
    let table = home.open("csv", None, &given, "c").await.unwrap();
    assert_eq!(ddl(&table), "struct<id:int,name:string>");
    assert_eq!(home.rows(table).await.unwrap(), ["1|a,b", "2|c", "3|d"]);
    assert_eq!(home.read("csv", None, &[], "c/2.csv").await.unwrap(), ["id|name", "3|d"]);
    home.put("ml/a.csv", "h1,h2\n1,\"x\ny\"\n\n3,4\n");
    assert_eq!(
        home.read("csv", None, &[("header", "true"), ("multiLine", "true")], "ml").await.unwrap(),
        ["1|x\ny", "3|4"]
    );
    home.put("latin/a.csv", b"\xe9,b\n");
    assert_eq!(home.read("csv", None, &[("encoding", "ISO-8859-1")], "latin").await.unwrap(), ["é|b"]);
    home.put("swapped/a.csv", "b,a\n1,2\n");
    assert_eq!(
        home.read("csv", Some("a int; b int"), &[("header", "true")], "swapped").await.unwrap(),
        ["1|2"]
    );
    let e = home
        .read("csv", Some("a int; b int"), &[("header", "true"), ("enforceSchema", "false")], "swapped")
        .await
        .unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.NO_HINT");
    std::fs::create_dir(home.directory.path().join("nothing")).unwrap();
    let e = home.open("csv", None, &[], "nothing").await.unwrap_err();
    assert_eq!((e.class(), e.parameters()[0].1.as_str()), ("UNABLE_TO_INFER_SCHEMA", "CSV"));
}

#[tokio::test]
async fn text_and_binary_files() {
    let home = home();
    home.put("t/a.txt", "one\r\n\ntwo");
    assert_eq!(home.read("text", None, &[], "t").await.unwrap(), ["one", "", "two"]);
    assert_eq!(home.read("text", None, &[("wholetext", "true")], "t").await.unwrap(), ["one\r\n\ntwo"]);
    assert_eq!(home.read("text", None, &[("lineSep", "\n\n")], "t").await.unwrap(), ["one\r", "two"]);
    let table = home.open("binaryFile", None, &[], "t").await.unwrap();
    assert_eq!(ddl(&table), "struct<path:string,modificationTime:timestamp,length:bigint,content:binary>");
    let rows = home.rows(table).await.unwrap();
    assert!(rows[0].starts_with("file:/") && rows[0].contains("/t/a.txt|"), "{}", rows[0]);
    assert!(rows[0].ends_with("|9|6f6e650d0a0a74776f"), "{}", rows[0]);
    assert_eq!(home.open("nope", None, &[], "t").await.unwrap_err().class(), "DATA_SOURCE_NOT_FOUND");
}

#[tokio::test]
async fn the_largest_file_has_the_header() {
    let home = home();
    home.put("h/a.csv", "a,b\n1,2\n");
    home.put("h/c.csv", "a,b,c\n3,4,5\n");
    let table = home.open("csv", None, &[("header", "true")], "h").await.unwrap();
    assert_eq!(ddl(&table), "struct<a:string,b:string,c:string>");
    let mut rows = home.rows(table).await.unwrap();
    rows.sort();
    assert_eq!(rows, ["1|2|null", "3|4|5"]);
}

#[tokio::test]
async fn newlines_in_quotes_are_those_of_the_file() {
    let home = home();
    home.put("n.csv", "a,b\r\n\"x\r\ny\",2\r\n");
    let given = [("header", "true"), ("multiLine", "true")];
    assert_eq!(home.read("csv", None, &given, "n.csv").await.unwrap(), ["x\ny|2"]);
}

#[tokio::test]
async fn multi_line_json_tells_its_encoding() {
    let home = home();
    let text: Vec<u8> = "{\"a\":\"é\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    home.put("u.json", text);
    assert_eq!(home.read("json", None, &[("multiLine", "true")], "u.json").await.unwrap(), ["é"]);
}

#[tokio::test]
async fn limits_make_records_malformed() {
    let home = home();
    home.put("l.json", "{\"a\":\"xxxx\"}\n{\"a\":\"xxx\"}\n");
    let given = [("maxStringLen", "3")];
    assert_eq!(home.read("json", Some("a string"), &given, "l.json").await.unwrap(), ["null", "xxx"]);
    let deep = home.read("json", Some("a string"), &[("maxNestingDepth", "0")], "l.json").await.unwrap();
    assert_eq!(deep, ["null", "null"]);
}

#[tokio::test]
async fn directories_give_columns() {
    let home = home();
    home.put("p/k=1/d=2024-01-31/a.json", "{\"v\":1}");
    home.put("p/k=2/d=__HIVE_DEFAULT_PARTITION__/a.json", "{\"v\":2}");
    let table = home.open("json", None, &[], "p").await.unwrap();
    assert_eq!(ddl(&table), "struct<v:bigint,k:int,d:date>");
    assert_eq!(table.partition_columns(), ["k", "d"]);
    let table = Arc::new(table);
    let frame = home.session.read_table(table.clone()).unwrap();
    assert_eq!(show(&frame.clone().collect().await.unwrap()), ["1|1|2024-01-31", "2|2|null"]);
    let filtered = frame.clone().filter(col("k").gt(lit(1)).and(col("v").gt(lit(0_i64)))).unwrap();
    assert_eq!(show(&filtered.clone().collect().await.unwrap()), ["2|2|null"]);
    let plan = filtered.create_physical_plan().await.unwrap();
    let shown = datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string();
    assert!(shown.contains("slices=1"), "{shown}");
    let only_partition = frame.select_columns(&["k"]).unwrap();
    assert_eq!(show(&only_partition.collect().await.unwrap()), ["1", "2"]);

    // A schema says the types of partition columns too.
    assert_eq!(
        home.read("json", Some("k string; v int"), &[], "p").await.unwrap(),
        ["1|1|2024-01-31", "2|2|null"]
    );
    let given = home.open("json", Some("k string; v int"), &[], "p").await.unwrap();
    assert_eq!(ddl(&given), "struct<v:int,k:string,d:date>");
    let misfit = home.open("json", Some("d int"), &[], "p").await.unwrap_err();
    assert_eq!(misfit.class(), "INVALID_PARTITION_VALUE");
    // One directory alone gives no column, unless the base is named.
    assert_eq!(home.read("json", None, &[], "p/k=1/*").await.unwrap(), ["1"]);
    let base = home.directory.path().join("p").display().to_string();
    assert_eq!(home.read("json", None, &[("basePath", &base)], "p/k=1").await.unwrap(), ["1|1|2024-01-31"]);
    assert_eq!(home.read("json", None, &[("recursiveFileLookup", "true")], "p").await.unwrap(), ["1", "2"]);
}

#[tokio::test]
async fn directories_without_values_are_not_read() {
    let home = home();
    home.put("d/f.json", "{\"v\":1}");
    home.put("d/x/g.json", "{\"v\":2}");
    home.put("d/x/y/h.json", "{\"v\":3}");
    assert_eq!(home.read("json", None, &[], "d").await.unwrap(), ["1"]);
    assert_eq!(home.read("json", None, &[], "d/*").await.unwrap(), ["1", "2"]);
    let all = home.read("json", None, &[("recursiveFileLookup", "true")], "d").await.unwrap();
    assert_eq!(all, ["1", "2", "3"]);
    home.put("d/a=1/i.json", "{\"v\":4}");
    let e = home.read("json", None, &[], "d").await.unwrap_err();
    assert_eq!(e.class(), "CONFLICTING_DIRECTORY_STRUCTURES");
    let any = &[("ignoreInvalidPartitionPaths", "true")];
    assert_eq!(home.read("json", None, any, "d").await.unwrap(), ["4|1"]);
    home.put("d/x/a=2/i.json", "{\"v\":5}");
    assert_eq!(home.read("json", None, any, "d").await.unwrap(), ["4|1", "5|2"]);
}

#[tokio::test]
async fn files_beside_partitions_are_left_out() {
    let home = home();
    home.put("q/a=1/f.json", "{\"v\":1}");
    home.put("q/r.json", "{\"v\":9}");
    assert_eq!(home.read("json", None, &[], "q").await.unwrap(), ["1|1"]);
    home.put("n/v=7/f.json", "{\"v\":1}");
    let table = home.open("json", None, &[], "n").await.unwrap();
    assert_eq!(ddl(&table), "struct<v:int>");
    assert_eq!(home.rows(table).await.unwrap(), ["7"]);
}

#[tokio::test]
async fn rows_tell_where_they_are_from() {
    let home = home();
    home.put("q/a=1/f.json", "{\"v\":1}");
    let json = home.open("json", None, &[], "q").await.unwrap();
    home.copy(json, "parquet", &[], &[], SaveMode::Overwrite, "p").await.unwrap();
    for (format, path, name, size) in [("json", "q", "f.json", Some(7)), ("parquet", "p", "part-00000", None)]
    {
        let table = home.open(format, None, &[], path).await.unwrap().with_metadata_column().unwrap();
        assert!(!table.partition_columns().contains(&"_metadata".to_string()));
        let rows = home.rows(table).await.unwrap();
        assert!(
            rows[0].contains("{file_path: file:/") && rows[0].contains(&format!("file_name: {name}")),
            "{}",
            rows[0]
        );
        if let Some(size) = size {
            assert!(
                rows[0]
                    .contains(&format!("file_size: {size}, file_block_start: 0, file_block_length: {size}"))
            );
        }
    }
}

#[tokio::test]
async fn nulls_alone_are_no_csv_line() {
    let home = home();
    home.put("in/a.json", "{}\n{\"a\":\"\"}\n{\"a\":\"x\"}\n");
    let table = || home.open("json", Some("a string"), &[], "in");
    home.copy(table().await.unwrap(), "csv", &[], &[], SaveMode::Overwrite, "c").await.unwrap();
    assert_eq!(home.text("c"), "\"\"\nx\n");
    home.copy(table().await.unwrap(), "csv", &[("quoteAll", "true")], &[], SaveMode::Overwrite, "c")
        .await
        .unwrap();
    assert_eq!(home.text("c"), "\"\"\n\"\"\n\"x\"\n");
    home.copy(table().await.unwrap(), "text", &[], &[], SaveMode::Overwrite, "c").await.unwrap();
    assert_eq!(home.text("c"), "\n\nx\n");
    home.copy(table().await.unwrap(), "json", &[("lineSep", ";")], &[], SaveMode::Overwrite, "c")
        .await
        .unwrap();
    assert_eq!(home.text("c"), "{};{\"a\":\"\"};{\"a\":\"x\"};");
}

#[tokio::test]
async fn large_files_are_read_in_slices() {
    let home = home_with(4);
    let lines: String = (0..200_000).map(|i| format!("{{\"id\":{i},\"name\":\"name {i}\"}}\n")).collect();
    home.put("big/a.json", &lines);
    let table = Arc::new(home.open("json", None, &[], "big").await.unwrap());
    let plan = table.scan(&home.session.state(), None, &[], None).await.unwrap();
    use datafusion::physical_plan::ExecutionPlanProperties;
    assert!(plan.output_partitioning().partition_count() > 1);
    let batches =
        datafusion::physical_plan::collect_partitioned(plan, home.session.task_ctx()).await.unwrap();
    let rows = show(&batches.concat());
    assert_eq!(rows.len(), 200_000);
    assert!(rows.iter().enumerate().all(|(i, row)| *row == format!("{i}|name {i}")));
    let limited = table.scan(&home.session.state(), Some(&vec![0]), &[], Some(3)).await.unwrap();
    let batches =
        datafusion::physical_plan::collect_partitioned(limited, home.session.task_ctx()).await.unwrap();
    assert_eq!(show(&batches[0]), ["0", "1", "2"]);
}

#[tokio::test]
async fn json_is_written_as_spark_writes_it() {
    let home = home();
    home.put("in/a.json", "{\"i\":1,\"s\":\"a,b\"}\n{\"i\":2,\"s\":null}\n");
    let table = || home.open("json", Some("i int; s string"), &[], "in");
    let written =
        home.copy(table().await.unwrap(), "json", &[], &[], SaveMode::ErrorIfExists, "out").await.unwrap();
    assert_eq!((written.rows, written.files.len()), (2, 1));
    assert_eq!(home.text("out"), "{\"i\":1,\"s\":\"a,b\"}\n{\"i\":2}\n");
    let files = home.list("out");
    assert_eq!(files[0], "_SUCCESS");
    assert!(files[1].starts_with("part-00000-") && files[1].ends_with("-c000.json"), "{}", files[1]);

    let e = home
        .copy(table().await.unwrap(), "json", &[], &[], SaveMode::ErrorIfExists, "out")
        .await
        .unwrap_err();
    assert_eq!(e.class(), "PATH_ALREADY_EXISTS");
    assert!(e.parameters()[0].1.ends_with("/out"));
    let skipped = home.copy(table().await.unwrap(), "json", &[], &[], SaveMode::Ignore, "out").await.unwrap();
    assert!(skipped.skipped);
    home.copy(table().await.unwrap(), "json", &[], &[], SaveMode::Append, "out").await.unwrap();
    assert_eq!(home.list("out").len(), 3);
    home.copy(table().await.unwrap(), "json", &[], &[], SaveMode::Overwrite, "out").await.unwrap();
    assert_eq!(home.list("out").len(), 2);
}

#[tokio::test]
async fn codecs_and_record_limits() {
    let home = home();
    home.put("in/a.json", (0..5).map(|i| format!("{{\"i\":{i}}}\n")).collect::<String>());
    let table = || home.open("json", Some("i int"), &[], "in");
    let given = [("compression", "gzip"), ("maxRecordsPerFile", "2")];
    home.copy(table().await.unwrap(), "json", &given, &[], SaveMode::Overwrite, "gz").await.unwrap();
    let files = home.list("gz");
    assert!(files[1].ends_with("-c000.json.gz") && files[3].ends_with("-c002.json.gz"), "{files:?}");
    assert_eq!(home.read("json", None, &[], "gz").await.unwrap(), ["0", "1", "2", "3", "4"]);
    home.copy(
        table().await.unwrap(),
        "csv",
        &[("compression", "bzip2"), ("header", "true")],
        &[],
        SaveMode::Overwrite,
        "bz",
    )
    .await
    .unwrap();
    assert_eq!(home.read("csv", None, &[("header", "true")], "bz").await.unwrap(), ["0", "1", "2", "3", "4"]);
    let e = home
        .copy(table().await.unwrap(), "json", &[("compression", "foo")], &[], SaveMode::Overwrite, "x")
        .await
        .unwrap_err();
    assert_eq!(e.class(), "CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION");
    let e = home.copy(table().await.unwrap(), "text", &[], &[], SaveMode::Overwrite, "x").await.unwrap_err();
    assert_eq!(e.class(), "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE");
}

#[tokio::test]
async fn partitions_are_written_as_directories() {
    let home = home();
    home.put("in/a.json", "{\"i\":1,\"p\":\"a b/c=d%:é\"}\n{\"i\":2,\"p\":null}\n{\"i\":3,\"p\":\"\"}\n{\"i\":4,\"p\":\"a b/c=d%:é\"}\n");
    let table = || home.open("json", Some("i int; p string"), &[], "in");
    home.copy(table().await.unwrap(), "json", &[], &["P"], SaveMode::Overwrite, "out").await.unwrap();
    let files = home.list("out");
    assert!(files.iter().any(|f| f.starts_with("p=__HIVE_DEFAULT_PARTITION__/part-")), "{files:?}");
    assert!(files.iter().any(|f| f.starts_with("p=a b%2Fc%3Dd%25%3Aé/part-")), "{files:?}");
    let mut rows = home.read("json", None, &[], "out").await.unwrap();
    rows.sort();
    assert_eq!(rows, ["1|a b/c=d%:é", "2|null", "3|null", "4|a b/c=d%:é"]);

    let e = home
        .copy(table().await.unwrap(), "json", &[], &["i", "p"], SaveMode::Overwrite, "x")
        .await
        .unwrap_err();
    assert_eq!(e.class(), "ALL_PARTITION_COLUMNS_NOT_ALLOWED");
    assert!(home.copy(table().await.unwrap(), "json", &[], &["zz"], SaveMode::Overwrite, "x").await.is_err());

    // Dynamic overwrite leaves partitions alone that get no rows.
    home.put("one/a.json", "{\"i\":9,\"p\":null}\n");
    let one = home.open("json", Some("i int; p string"), &[], "one").await.unwrap();
    let dynamic = [("partitionOverwriteMode", "dynamic")];
    home.copy(one, "json", &dynamic, &["p"], SaveMode::Overwrite, "out").await.unwrap();
    let mut rows = home.read("json", None, &[], "out").await.unwrap();
    rows.sort();
    assert_eq!(rows, ["1|a b/c=d%:é", "4|a b/c=d%:é", "9|null"]);
}

#[tokio::test]
async fn parquet_files() {
    let home = home();
    home.put(
        "in/a.json",
        "{\"Id\":1,\"t\":\"2024-01-31T12:00:00Z\",\"l\":[{\"x\":1}],\"m\":{\"k\":2.5}}\n{\"Id\":2,\"t\":null}\n",
    );
    let fields = vec![
        StructField::new("Id", DataType::Integer, true).with_comment(Some("the key")),
        StructField::new("t", DataType::Timestamp, true),
        StructField::new(
            "l",
            DataType::array(DataType::structure(vec![StructField::new("x", DataType::Long, true)]), true),
            true,
        ),
        StructField::new("m", DataType::map(DataType::STRING, DataType::Double, true), true),
    ];
    let given = StructType::new(fields);
    let table = open("json", Some(&given), &vec![], &["in".to_string()], &home.context).await.unwrap();
    home.copy(table, "parquet", &[], &[], SaveMode::Overwrite, "p").await.unwrap();
    assert!(home.list("p")[1].ends_with("-c000.snappy.parquet"));
    let table = home.open("parquet", None, &[], "p").await.unwrap();
    assert_eq!(table.spark_schema(), &given);
    let rows = ["1|2024-01-31T12:00:00Z|[{x: 1}]|{k: 2.5}", "2|null|null|null"];
    assert_eq!(home.rows(table).await.unwrap(), rows);
    // Names in any case, wider types, columns that are not there.
    assert_eq!(
        home.read("parquet", Some("ID long; missing string"), &[], "p").await.unwrap(),
        ["1|null", "2|null"]
    );
    let table = Arc::new(home.open("parquet", Some("ID long"), &[], "p").await.unwrap());
    let filtered = home.session.read_table(table).unwrap().filter(col("\"ID\"").gt(lit(1_i64))).unwrap();
    assert_eq!(show(&filtered.collect().await.unwrap()), ["2"]);
    let e = home.read("parquet", Some("Id boolean"), &[], "p").await.unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH");
}

#[tokio::test]
async fn parquet_schemas_merge() {
    let home = home();
    home.put("a.json", "{\"a\":1}");
    home.put("b.json", "{\"b\":\"x\"}");
    for (file, ddl, out) in [("a.json", "a int", "m/k=1"), ("b.json", "b string", "m/k=2")] {
        let table = home.open("json", Some(ddl), &[], file).await.unwrap();
        home.copy(table, "parquet", &[], &[], SaveMode::Overwrite, out).await.unwrap();
    }
    assert_eq!(ddl(&home.open("parquet", None, &[], "m").await.unwrap()), "struct<a:int,k:int>");
    let merged = home.open("parquet", None, &[("mergeSchema", "true")], "m").await.unwrap();
    assert_eq!(ddl(&merged), "struct<a:int,b:string,k:int>");
    assert_eq!(home.rows(merged).await.unwrap(), ["1|null|1", "null|x|2"]);
    home.put("c.json", "{\"a\":\"x\"}");
    let table = home.open("json", Some("a string"), &[], "c.json").await.unwrap();
    home.copy(table, "parquet", &[], &[], SaveMode::Overwrite, "m/k=3").await.unwrap();
    let e = home.open("parquet", None, &[("mergeSchema", "true")], "m").await.unwrap_err();
    assert_eq!(e.class(), "CANNOT_MERGE_SCHEMAS");
}

#[tokio::test]
async fn broken_parquet_files_are_named() {
    let home = home();
    home.put("in/a.json", "{\"a\":1}");
    let table = home.open("json", Some("a int"), &[], "in").await.unwrap();
    home.copy(table, "parquet", &[], &[], SaveMode::Overwrite, "p").await.unwrap();
    home.put("p/zzz.parquet", "nonsense nonsense");
    let e = home.read("parquet", Some("a int"), &[], "p").await.unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.NO_HINT");
    assert!(e.parameters()[0].1.ends_with("/p/zzz.parquet"), "{e}");
    let e = home.open("parquet", None, &[], "p/zzz.parquet").await.unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER");
    assert!(e.parameters()[0].1.starts_with("file:/"));
    assert_eq!(
        home.read("parquet", Some("a int"), &[("ignoreCorruptFiles", "true")], "p").await.unwrap(),
        ["1"]
    );
}

#[tokio::test]
async fn no_rows_are_a_file_without_rows() {
    let home = home();
    home.put("in/a.json", "");
    for format in ["json", "csv", "parquet"] {
        let table = home.open("json", Some("a int; b string"), &[], "in").await.unwrap();
        home.copy(table, format, &[("header", "true")], &[], SaveMode::Overwrite, format).await.unwrap();
        assert_eq!(home.list(format).len(), 2, "{format}");
    }
    assert_eq!(home.text("csv"), "a,b\n");
    assert_eq!(ddl(&home.open("parquet", None, &[], "parquet").await.unwrap()), "struct<a:int,b:string>");
}

#[tokio::test]
async fn a_failed_write_leaves_what_was_there() {
    let home = home();
    home.put("out/old.json", "{\"a\":1}\n");
    home.put("in/a.json", "{\"a\":1}\n{\"a\":\"x\"}\n");
    let table = home.open("json", Some("a int"), &[("mode", "FAILFAST")], "in").await.unwrap();
    let e: Error = home.copy(table, "json", &[], &[], SaveMode::Overwrite, "out").await.unwrap_err();
    assert_eq!(e.class(), "FAILED_READ_FILE.NO_HINT");
    assert_eq!(home.list("out"), ["old.json"]);
}

/// Runs where a server speaks S3: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and a bucket's name in
/// `BOATHOUSE_TEST_BUCKET`.
#[tokio::test]
async fn object_stores_are_read_and_written() {
    let Ok(bucket) = std::env::var("BOATHOUSE_TEST_BUCKET") else { return };
    let home = home();
    let root = format!("s3a://{bucket}/run {}", uuid::Uuid::new_v4());
    home.put("in/a.json", "{\"i\":1,\"p\":\"a b%é\"}\n{\"i\":2,\"p\":null}\n");
    for format in ["json", "parquet", "csv"] {
        let table = home.open("json", Some("i int; p string"), &[], "in").await.unwrap();
        let path = format!("{root}/{format}");
        home.copy(table, format, &[], &["p"], SaveMode::ErrorIfExists, &path).await.unwrap();
        let mut rows = home.read(format, Some("i int; p string"), &[], &path).await.unwrap();
        rows.sort();
        assert_eq!(rows, ["1|a b%é", "2|null"], "{format}");
        let globbed = home.read(format, Some("i int"), &[], &format!("{root}/{format}/p=*")).await.unwrap();
        assert_eq!(globbed.len(), 2, "{format}");
        let table = home.open("json", Some("i int; p string"), &[], "in").await.unwrap();
        let e = home.copy(table, format, &[], &["p"], SaveMode::ErrorIfExists, &path).await.unwrap_err();
        assert_eq!((e.class(), e.parameters()[0].1.as_str()), ("PATH_ALREADY_EXISTS", path.as_str()));
    }
    let e = home.open("json", None, &[], &format!("{root}/nope")).await.unwrap_err();
    assert_eq!(e.class(), "PATH_NOT_FOUND");
}

/// A table that is opened again is the same one while its files are the same ones.
#[tokio::test]
async fn a_table_is_kept_while_its_files_are_the_same() {
    let home = home();
    let kept = crate::OpenedTables::default();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let put = |name: &str, content: &str, settled: bool| {
        home.put(name, content);
        let file = std::fs::File::options().write(true).open(home.directory.path().join(name)).unwrap();
        if settled {
            file.set_modified(long_ago).unwrap();
        }
    };
    let open = async |ddl: Option<&str>, given: &[(&str, &str)], context: &Context| {
        kept.open("json", ddl.map(schema).as_ref(), &options(given), &["j".to_string()], context)
            .await
            .unwrap()
    };
    let plain = async || open(None, &[], &home.context).await;

    put("j/a.json", r#"{"a": 1}"#, true);
    let first = plain().await;
    assert_eq!(ddl(&first), "struct<a:bigint>");
    assert!(Arc::ptr_eq(&first, &plain().await));

    // Read in another way it is another table, and the first one is still kept.
    assert_eq!(ddl(&*open(Some("a int"), &[], &home.context).await), "struct<a:int>");
    assert_eq!(ddl(&*open(None, &[("primitivesAsString", "true")], &home.context).await), "struct<a:string>");
    let mut session = home.context.clone();
    session.session.case_sensitive = !session.session.case_sensitive;
    assert!(!Arc::ptr_eq(&first, &open(None, &[], &session).await));
    assert!(Arc::ptr_eq(&first, &plain().await));

    // Another file, other content of the same size at another time, and a file that is gone.
    put("j/b.json", r#"{"b": 1}"#, true);
    assert_eq!(ddl(&*plain().await), "struct<a:bigint,b:bigint>");
    put("j/b.json", r#"{"c": 1}"#, false);
    assert_eq!(ddl(&*plain().await), "struct<a:bigint,c:bigint>");
    std::fs::remove_file(home.directory.path().join("j/b.json")).unwrap();
    let settled = plain().await;
    assert_eq!(ddl(&settled), "struct<a:bigint>");

    // What was written a moment ago may be written again without a sign of it.
    put("j/b.json", r#"{"b": 1}"#, false);
    let young = plain().await;
    assert!(!Arc::ptr_eq(&young, &plain().await));
    // Files that cannot be read are left out, until they can be.
    let lenient = &[("ignoreCorruptFiles", "true")];
    std::fs::remove_file(home.directory.path().join("j/b.json")).unwrap();
    assert!(!Arc::ptr_eq(
        &open(None, lenient, &home.context).await,
        &open(None, lenient, &home.context).await
    ));
}

/// Of what a streaming query wrote a schema says where the partition columns are; of other files they come last.
#[tokio::test]
async fn a_schema_places_partition_columns_of_streams() {
    let home = home();
    home.put("s/k=1/a.json", r#"{"v": 7}"#);
    let columns = async || ddl(&home.open("json", Some("k int; v int"), &[], "s").await.unwrap());
    assert_eq!(columns().await, "struct<v:int,k:int>");
    let file = home.directory.path().join("s/k=1/a.json");
    let line = format!(r#"{{"path":"file://{}","size":8,"isDir":false,"action":"add"}}"#, file.display());
    home.put("s/_spark_metadata/0", format!("v1\n{line}"));
    assert_eq!(columns().await, "struct<k:int,v:int>");
    assert_eq!(home.read("json", Some("k int; v int"), &[], "s").await.unwrap(), ["1|7"]);
}
