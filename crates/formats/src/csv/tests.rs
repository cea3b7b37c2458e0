//! Expected rows and schemas were printed by Spark 4.2.

use std::sync::Arc;

use arrow::array::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use boathouse_spec::{DataType, StructField, StructType};

use super::*;
use crate::options::{ParseMode, SessionDefaults};

fn schema(ddl: &str) -> StructType {
    let fields = ddl.split(';').map(|f| {
        let (name, t) = f.trim().split_once(' ').unwrap();
        StructField::new(name, DataType::from_json(&format!("\"{}\"", t.trim())).unwrap(), true)
    });
    StructType::new(fields.collect())
}

fn read_with(text: &str, ddl: &str, projection: Option<&[usize]>, options: Options) -> Vec<String> {
    let mut parser = Parser::new(&schema(ddl), projection, options).unwrap();
    for line in text.split('\n') {
        parser.push(line).unwrap();
    }
    let batch = parser.finish().unwrap();
    let format = FormatOptions::default().with_null("null");
    (0..batch.num_rows())
        .map(|row| {
            let cells = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &format).unwrap().value(row).to_string());
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

fn read(text: &str, ddl: &str) -> Vec<String> {
    read_with(text, ddl, None, Options::default())
}

const MIXED: &str = "1,2.5,x\nz,2.5,x\n1\n1,2,3,4";
const ABC: &str = "a int; b double; c string";

#[test]
fn records_that_do_not_fit_are_kept_in_part() {
    assert_eq!(read(MIXED, ABC), ["1|2.5|x", "null|2.5|x", "1|null|null", "1|2.0|3"]);
    assert_eq!(
        read(MIXED, "a int; b double; c string; _corrupt_record string"),
        ["1|2.5|x|null", "null|2.5|x|z,2.5,x", "1|null|null|1", "1|2.0|3|1,2,3,4"]
    );
}

#[test]
fn columns_that_are_not_read_are_not_checked() {
    let drop = || Options { mode: ParseMode::DropMalformed, ..Options::default() };
    assert_eq!(read_with(MIXED, ABC, None, drop()), ["1|2.5|x"]);
    assert_eq!(read_with(MIXED, ABC, Some(&[2]), drop()), ["x", "x", "null", "3"]);
    assert_eq!(read_with(MIXED, ABC, Some(&[0]), drop()), ["1", "1", "1"]);
    let corrupt = "a int; b double; c string; _corrupt_record string";
    assert_eq!(
        read_with(MIXED, corrupt, Some(&[2, 3]), Options::default()),
        ["x|null", "x|null", "null|null", "3|null"]
    );
}

#[test]
fn failing_has_sparks_error() {
    let fail = Options { mode: ParseMode::FailFast, ..Options::default() };
    let mut parser = Parser::new(&schema(ABC), None, fail).unwrap();
    let e = parser.push("z,2.5,x").unwrap_err();
    assert_eq!(
        (e.class(), e.parameters()[0].1.as_str()),
        ("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", "[null,2.5,x]")
    );
    let nested = StructType::new(vec![StructField::new("a", DataType::array(DataType::Integer, true), true)]);
    let e = Parser::new(&nested, None, Options::default()).err().unwrap();
    assert_eq!(
        (e.class(), e.parameters()[1].1.as_str()),
        ("UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE", "\"ARRAY<INT>\"")
    );
}

#[test]
fn values_fit_as_in_spark() {
    let rows = read(
        "127,1,1,1,1.5,1.5,1.255\n128,40000,3000000000,9223372036854775808,x,x,123456789\n\
         +1, 1,1.0,1e2,NaN,Inf,\"1,234.5\"\n1,1,1,1,-Inf,Infinity,1e2\n1,1,1,1,1f,1d,.5\n1,1,1,1, 1.5,1.5 ,x\n1,1,1,1,0x1p3,inf, 5",
        "a byte; b short; c int; d long; e float; f double; g decimal(10,2)",
    );
    assert_eq!(
        rows,
        [
            "127|1|1|1|1.5|1.5|1.26",
            "null|null|null|null|null|null|null",
            "1|null|null|null|NaN|inf|1234.50",
            "1|1|1|1|-inf|inf|100.00",
            "1|1|1|1|1.0|1.0|0.50",
            "1|1|1|1|1.5|1.5|null",
            "1|1|1|1|8.0|null|null"
        ]
    );
    assert_eq!(
        read("true,a,x\nTRUE,b,y\nt,c,z\n1,,", "a boolean; b binary; c string"),
        ["true|61|x", "true|62|y", "null|63|z", "null|null|null"]
    );
    assert_eq!(read("2024-01-31,2024-01-31", "a timestamp; b date"), ["2024-01-31T00:00:00Z|2024-01-31"]);
}

#[test]
fn formats_are_strict() {
    let given = [("dateFormat".to_string(), "dd/MM/yyyy".to_string())];
    let options = Options::parse(&given, &SessionDefaults::default()).unwrap();
    let options = Options { fall_back: false, ..options };
    assert_eq!(
        read_with("31/01/2024,x\n2024-01-31,y", "a date; b string; _corrupt_record string", None, options),
        ["2024-01-31|x|null", "null|y|2024-01-31,y"]
    );
}

#[test]
fn filler_lines_are_no_records() {
    let commented = Options { comment: Some('#'), ..Options::default() };
    assert_eq!(
        read_with("#x,y\na,b\n # z,w\n   \n\n", "a string; b string", None, commented),
        ["a|b", " # z|w"]
    );
}

#[test]
fn values_span_lines() {
    let options = Options { multi_line: true, ..Options::default() };
    let mut parser = Parser::new(&schema("a string; b string"), None, options).unwrap();
    let text = "1,\"x\ny\"\r\n\r\n3,4\n5,\"unclosed\n";
    let mut at = 0;
    while at < text.len() {
        at = parser.push_at(text, at).unwrap();
    }
    let batch = parser.finish().unwrap();
    let b: Vec<_> = batch.column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(b, ["x\ny", "4", "unclosed\n"]);
}

fn infer(text: &str, options: &[(&str, &str)]) -> String {
    let options: Vec<_> = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let options = Options::parse(&options, &SessionDefaults::default()).unwrap();
    let mut inference = Inference::new(options.clone());
    for line in text.split('\n').filter(|l| !is_filler(l, &options)) {
        inference.push(line, 0).unwrap();
    }
    DataType::Struct(inference.finish()).simple_string()
}

#[test]
fn names_are_sparks() {
    assert_eq!(infer("a,b,c\n1,2,3", &[]), "struct<_c0:string,_c1:string,_c2:string>");
    assert_eq!(
        infer("a,b,a,A,,\n1,2,3,4,5,6", &[("header", "true")]),
        "struct<a0:string,b:string,a2:string,A3:string,_c4:string,_c5:string>"
    );
    assert_eq!(
        infer("a,NULL,\"\",c\n1,2,3,4", &[("header", "true"), ("nullValue", "NULL")]),
        "struct<a:string,_c1:string,_c2:string,c:string>"
    );
    assert_eq!(infer("a\nb,c\nd,e,f", &[]), "struct<_c0:string>");
    assert_eq!(infer("", &[]), "struct<>");
}

#[test]
fn types_are_sparks() {
    let types = [("inferSchema", "true")];
    assert_eq!(
        infer(
            "i,l,d,db,dt,ts,b,s,n,m,inf,e\n1,3000000000,12345678901234567890,1.5,2024-01-31,2024-01-31 12:34:56,true,x,,1,Inf,1e3\n\
             2,2,2,2e10,2024-02-01,2024-01-31T12:34:56Z,FALSE,1,,x,NaN,2",
            &[("inferSchema", "true"), ("header", "true")]
        ),
        "struct<i:int,l:bigint,d:decimal(20,0),db:double,dt:date,ts:timestamp,b:boolean,s:string,n:string,m:string,inf:double,e:double>"
    );
    assert_eq!(
        infer(
            "1,2024-01-31,1.0,true,1,2024-01-31,01:02,1,1.5,12345678901234567890123456789012345678901\n\
             1.5,2024-01-31 01:02:03,x,1,3000000000,5,2024-01-01,12345678901234567890,12345678901234567890,1",
            &types
        ),
        "struct<_c0:double,_c1:timestamp,_c2:string,_c3:string,_c4:bigint,_c5:string,_c6:timestamp,_c7:decimal(20,0),_c8:double,_c9:double>"
    );
    assert_eq!(
        infer(" 1,1 ,+1,-1,1f,1d,0x10,1L,1e400,.5", &types),
        "struct<_c0:double,_c1:double,_c2:int,_c3:int,_c4:double,_c5:double,_c6:string,_c7:string,_c8:double,_c9:double>"
    );
    assert_eq!(
        infer("2024-01-31,2024-01-31 10:00:00", &[("inferSchema", "true"), ("preferDate", "false")]),
        "struct<_c0:timestamp,_c1:timestamp>"
    );
    assert_eq!(
        infer(
            "31/01/2024,31/01/2024 10:00",
            &[("inferSchema", "true"), ("dateFormat", "dd/MM/yyyy"), ("timestampFormat", "dd/MM/yyyy HH:mm")]
        ),
        "struct<_c0:date,_c1:timestamp>"
    );
    assert_eq!(infer("2024-01-31\n2024-01-31 10:00:00", &types), "struct<_c0:timestamp>");
    assert_eq!(
        infer(
            "2024-1-3,2024-01-31T00:00:00,2024-01-31 ,2024,2024-01,20240131,10:30,2024-01-31 10:00",
            &types
        ),
        "struct<_c0:timestamp,_c1:timestamp,_c2:timestamp,_c3:int,_c4:timestamp,_c5:int,_c6:timestamp,_c7:timestamp>"
    );
    assert_eq!(
        DataType::Struct(type_of("1,x,2.5,2024-01-31,true", Options::default()).unwrap()).sql(),
        "STRUCT<_c0: INT, _c1: STRING, _c2: DOUBLE, _c3: DATE, _c4: BOOLEAN>"
    );
}

#[test]
fn texts_become_structs() {
    let texts = StringArray::from(vec![
        Some("1,x"),
        Some("z,x"),
        Some("1"),
        Some("1,2,3"),
        Some(""),
        None,
        Some("a\nb"),
    ]);
    let t = schema("a int; b string; _corrupt_record string");
    let array = from_csv(&texts, &t, &Options::default()).unwrap();
    let s = array.as_struct();
    assert!(s.is_null(5) && s.is_valid(4));
    let b: Vec<_> = s.column(1).as_string::<i32>().iter().collect();
    assert_eq!(b[..4], [Some("x"), Some("x"), None, Some("2")]);
    let c: Vec<_> = s.column(2).as_string::<i32>().iter().collect();
    assert_eq!(c[..4], [None, Some("z,x"), Some("1"), Some("1,2,3")]);
}

fn written(rows: Vec<Vec<Option<&str>>>, options: &Options) -> Vec<String> {
    let width = rows[0].len();
    let columns: Vec<ArrayRef> = (0..width)
        .map(|c| Arc::new(rows.iter().map(|r| r[c]).collect::<StringArray>()) as ArrayRef)
        .collect();
    let t = StructType::new(
        (0..width).map(|i| StructField::new(format!("c{i}"), DataType::STRING, true)).collect(),
    );
    let generator = Generator::new(&columns, &t, options).unwrap();
    (0..rows.len())
        .map(|row| {
            let mut out = String::new();
            generator.write(row, &mut out).unwrap();
            out
        })
        .collect()
}

#[test]
fn texts_are_written_as_in_spark() {
    let rows = || {
        vec![
            vec![Some("1"), Some("a,b"), Some("q\"q"), None, Some(""), Some(" lead ")],
            vec![
                Some("2"),
                Some("line\nbreak"),
                Some("back\\slash"),
                Some("null"),
                Some("x"),
                Some("tab\tx"),
            ],
            vec![Some("3"), Some("'s"), Some("#c"), Some(""), Some("é"), Some("a\rb")],
        ]
    };
    let options = |given: &[(&str, &str)]| {
        let given: Vec<_> = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Options::parse_for_writing(&given, &SessionDefaults::default()).unwrap()
    };
    assert_eq!(
        written(rows(), &options(&[])),
        [
            "1,\"a,b\",\"q\\\"q\",,\"\",lead",
            "2,\"line\nbreak\",back\\slash,null,x,tab\tx",
            "3,'s,#c,\"\",é,\"a\rb\""
        ]
    );
    assert_eq!(
        written(rows(), &options(&[("quoteAll", "true"), ("nullValue", "NULL"), ("emptyValue", "EMPTY")])),
        [
            "\"1\",\"a,b\",\"q\\\"q\",\"NULL\",\"EMPTY\",\"lead\"",
            "\"2\",\"line\nbreak\",\"back\\\\slash\",\"null\",\"x\",\"tab\tx\"",
            "\"3\",\"'s\",\"#c\",\"EMPTY\",\"é\",\"a\rb\""
        ]
    );
    assert_eq!(
        written(
            rows(),
            &options(&[
                ("sep", "|"),
                ("quote", "'"),
                ("escape", "'"),
                ("ignoreLeadingWhiteSpace", "false"),
                ("ignoreTrailingWhiteSpace", "false"),
                ("escapeQuotes", "false")
            ])
        ),
        ["1|a,b|q\"q||\"\"| lead ", "2|'line\nbreak'|back\\slash|null|x|tab\tx", "3|'''s'|#c|\"\"|é|'a\rb'"]
    );
    assert_eq!(written(rows(), &options(&[("quote", ""), ("escape", "")]))[0], "1,\0a,b\0,q\"q,,\"\",lead");
}

#[test]
fn values_are_written_as_in_spark() {
    let options = Options::parse_for_writing(&[], &SessionDefaults::default()).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![1e10])),
        Arc::new(BinaryArray::from_vec(vec![&[0, 255]])),
        Arc::new(Date32Array::from(vec![19_753])),
        Arc::new(TimestampMicrosecondArray::from(vec![1_706_704_496_500_000]).with_timezone("UTC")),
        Arc::new(BooleanArray::from(vec![true])),
        Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([Some([
            Some(1),
            None,
        ])])),
    ];
    let t = StructType::new(
        [
            DataType::Double,
            DataType::Binary,
            DataType::Date,
            DataType::Timestamp,
            DataType::Boolean,
            DataType::array(DataType::Integer, true),
        ]
        .into_iter()
        .map(|t| StructField::new("a", t, true))
        .collect(),
    );
    let mut out = String::new();
    Generator::new(&columns, &t, &options).unwrap().write(0, &mut out).unwrap();
    assert_eq!(out, "1.0E10,[00 FF],2024-01-31,2024-01-31T12:34:56.500Z,true,\"[1,]\"");
    assert!(check_schema_for_writing(&t).is_err());
}
