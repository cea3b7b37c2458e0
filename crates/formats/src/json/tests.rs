//! Expected rows and schemas were printed by Spark 4.2.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::Int32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use boathouse_spec::{DataType, IntervalField, StructField, StructType};

use super::*;
use crate::options::{ParseMode, SessionDefaults};
use crate::zone::Zone;

/// A schema of `name type, ...` with simple types.
fn schema(ddl: &str) -> StructType {
    let fields = ddl.split(';').map(|f| {
        let (name, t) = f.trim().split_once(' ').unwrap();
        StructField::new(name, data_type(t.trim()), true)
    });
    StructType::new(fields.collect())
}

fn data_type(text: &str) -> DataType {
    if let Some(inner) = text.strip_prefix("array<").and_then(|t| t.strip_suffix('>')) {
        return DataType::array(data_type(inner), true);
    }
    if let Some(inner) = text.strip_prefix("map<string,").and_then(|t| t.strip_suffix('>')) {
        return DataType::map(DataType::STRING, data_type(inner), true);
    }
    if let Some(inner) = text.strip_prefix("struct<").and_then(|t| t.strip_suffix('>')) {
        let fields = inner.split(',').map(|f| {
            let (name, t) = f.split_once(':').unwrap();
            StructField::new(name, data_type(t), true)
        });
        return DataType::structure(fields.collect());
    }
    DataType::from_json(&format!("\"{text}\"")).unwrap()
}

fn show(columns: &[ArrayRef], rows: usize) -> Vec<String> {
    let format = FormatOptions::default().with_null("null");
    (0..rows)
        .map(|row| {
            let cells = columns.iter().map(|c| {
                if c.data_type() == &arrow::datatypes::DataType::Null {
                    return "null".to_string();
                }
                ArrayFormatter::try_new(c.as_ref(), &format).unwrap().value(row).to_string()
            });
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

fn read_with(text: &str, ddl: &str, options: Options) -> Vec<String> {
    let mut parser = Parser::new(&schema(ddl), options).unwrap();
    for line in text.split('\n') {
        parser.push(line).unwrap();
    }
    let batch = parser.finish().unwrap();
    show(batch.columns(), batch.num_rows())
}

fn read(text: &str, ddl: &str) -> Vec<String> {
    read_with(text, ddl, Options::default())
}

#[test]
fn what_is_no_object_is_corrupt() {
    assert_eq!(
        read(
            "null\n{\"a\":1}\n5\n\"str\"\n[{\"a\":2},{\"a\":3}]\n[]\n\n   \n{}\n{\"a\":4} x",
            "a int; _corrupt_record string"
        ),
        ["null|null", "1|null", "null|5", "null|\"str\"", "2|null", "3|null", "null|null", "4|null"]
    );
}

#[test]
fn what_fits_is_kept() {
    let rows = read(
        r#"{"a":1,"b":"x"}
{"a":"z","b":"y"}
{"a":2,"b":3}
{"a":1.5,"b":true}
{"a":tru,"b":"q"}
{"b":"q","a":1
{"b":"k","a":1,}"#,
        "a int; b string; _corrupt_record string",
    );
    assert_eq!(
        rows,
        [
            "1|x|null",
            r#"null|y|{"a":"z","b":"y"}"#,
            "2|3|null",
            r#"null|true|{"a":1.5,"b":true}"#,
            r#"null|null|{"a":tru,"b":"q"}"#,
            r#"null|null|{"b":"q","a":1"#,
            r#"null|null|{"b":"k","a":1,}"#,
        ]
    );
}

#[test]
fn nested_values_are_kept_in_part() {
    let rows = read(
        r#"{"arr":[1,"x",3],"c":1}
{"arr":["x",{"k":1}],"c":1}
{"arr":[[1],2],"c":1}
{"arr":[1,null],"c":1}"#,
        "arr array<integer>; c int",
    );
    assert_eq!(rows, ["null|1", "null|1", "null|1", "[1, null]|1"]);
    let rows = read(
        r#"{"m":{"a":"x","b":1},"c":5}
{"m":{"a":1,"b":2},"c":5}
{"m":[1],"c":5}"#,
        "m map<string,integer>; c int",
    );
    assert_eq!(rows, ["null|5", "{a: 1, b: 2}|5", "null|5"]);
    let rows = read(
        r#"{"s":{"a":"x","b":1},"c":5}
{"s":[{"a":1}],"c":5}
{"s":{"a":1,"b":2,"z":{"q":[1,{"b":1}]}},"c":5}
{"s":null,"c":5}"#,
        "s struct<a:integer,b:integer>; c int",
    );
    assert_eq!(rows, ["{a: null, b: 1}|5", "null|5", "{a: 1, b: 2}|5", "null|5"]);
    let rows = read(
        r#"{"s":[{"a":"x","b":1},{"a":2,"b":3},5,{"a":7}],"c":5}
{"s":[{"a":"x","b":1},{"a":2,"b":3},null],"c":5}"#,
        "s array<struct<a:integer,b:integer>>; c int",
    );
    assert_eq!(rows, ["null|5", "[{a: null, b: 1}, {a: 2, b: 3}, null]|5"]);
    assert_eq!(
        read(r#"{"a":{"x":1,"x":2},"b":[1,2],"b":[3]}"#, "a struct<x:integer>; b array<integer>"),
        ["{x: 2}|[3]"]
    );
}

#[test]
fn numbers_fit_as_in_spark() {
    let rows = read(
        r#"{"a":127,"b":1,"c":1,"d":1}
{"a":128,"b":40000,"c":3000000000,"d":9223372036854775808}
{"a":1.0,"b":1.0,"c":1.0,"d":1e2}
{"a":"1","b":"","c":true,"d":"x"}
{"a":-0,"b":-5,"c":0,"d":-9223372036854775808}
{"a":01,"b":1}"#,
        "a byte; b short; c int; d long",
    );
    assert_eq!(
        rows,
        [
            "127|1|1|1",
            "-128|null|null|null",
            "null|null|null|null",
            "null|null|null|null",
            "0|-5|0|-9223372036854775808",
            "null|null|null|null"
        ]
    );
    let rows = read(
        r#"{"a":1.5,"b":1e400}
{"a":"NaN","b":"Infinity"}
{"a":"-INF","b":"+INF"}
{"a":NaN,"b":Infinity}
{"a":-Infinity,"b":-INF}
{"a":"1.5","b":""}
{"a":+INF,"b":+Infinity}
{"a":INF,"b":"INF"}
{"a":3,"b":123456789012345678901234567890}"#,
        "a float; b double",
    );
    assert_eq!(
        rows,
        [
            "1.5|inf",
            "NaN|inf",
            "-inf|inf",
            "NaN|inf",
            "-inf|-inf",
            "null|null",
            "inf|inf",
            "null|null",
            "3.0|1.2345678901234568e29"
        ]
    );
    let rows = read(
        r#"{"a":1.5,"b":1.005}
{"a":123456,"b":12345678.9}
{"a":"1.55","b":"1,234.5"}
{"a":"x","b":""}
{"a":1e2,"b":1e-5}
{"a":"1e2","b":" 1"}
{"a":99999.995}"#,
        "a decimal(5,2); b decimal(10,2)",
    );
    assert_eq!(
        rows,
        [
            "1.50|1.01",
            "null|12345678.90",
            "1.55|1234.50",
            "null|null",
            "100.00|0.00",
            "100.00|null",
            "null|null"
        ]
    );
}

#[test]
fn texts_read_as_in_spark() {
    let rows = read(
        "{\"a\":1.50}\n{\"a\":{\"x\": 1, \"y\" :[1, 2.0]}}\n{\"a\":true}\n{\"a\":\"\"}\n{\"a\":\"\\u00e9\\ud83d\\ude00\"}\n\
         {\"a\":null}\n{\"a\":\"\\ud83d\"}\n{\"a\":\"tab\there\"}\n{\"a\":\"\\x\"}\n{\"a\":\"\\/\"}\n{'a':'x\"y'}",
        "a string",
    );
    assert_eq!(
        rows,
        ["1.50", "{\"x\": 1, \"y\" :[1, 2.0]}", "true", "", "é😀", "null", "?", "null", "null", "/", "x\"y"]
    );
}

#[test]
fn dates_and_timestamps_read_as_in_spark() {
    let rows = read(
        r#"{"a":"2024-01-31T12:34:56.123456Z","b":"2024-01-31","c":"2024-01-31T12:34:56"}
{"a":1700000000,"b":1900,"c":5}
{"a":"1700000000","b":"20240131","c":"2024"}
{"a":1.5,"b":"2024-01-31T01:02:03","c":"2024-01-31T12:34:56Z"}
{"a":"","b":"","c":""}
{"a":"2024-01-31 12:34:56 Europe/Paris","b":"2024-01-31x"}"#,
        "a timestamp; b date; c timestamp_ntz",
    );
    assert_eq!(rows[0], "2024-01-31T12:34:56.123456Z|2024-01-31|2024-01-31T12:34:56");
    assert_eq!(rows[1], "2023-11-14T22:13:20Z|null|null");
    assert!(rows[2].starts_with("null|+57385-08-06|2024-01-01T00:00:00"), "{}", rows[2]);
    assert_eq!(rows[3], "null|2024-01-31|null");
    assert_eq!(rows[4], "null|null|null");
    assert_eq!(rows[5], "2024-01-31T11:34:56Z|null|null");

    let given = [("timestampFormat", "dd/MM/yyyy HH:mm"), ("dateFormat", "dd/MM/yyyy")];
    let given: Vec<_> = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let session = SessionDefaults { zone: Zone::parse("America/Los_Angeles").unwrap(), ..Default::default() };
    let options = Options::parse(&given, &session).unwrap();
    let text = "{\"a\":\"31/01/2024 12:34\",\"b\":\"31/01/2024\"}\n{\"a\":\"2024-01-31 12:34:00\",\"b\":\"2024-01-31\"}";
    assert_eq!(
        read_with(text, "a timestamp; b date", options),
        ["2024-01-31T20:34:00Z|2024-01-31", "null|null"]
    );
}

#[test]
fn binaries_are_base64() {
    let rows =
        read("{\"a\":\"aGVsbG8=\"}\n{\"a\":\"!!\"}\n{\"a\":\"aGVsbG8\"}\n{\"a\":\"aGVs bG8=\"}", "a binary");
    assert_eq!(rows, ["68656c6c6f", "null", "null", "68656c6c6f"]);
}

#[test]
fn modes_drop_and_fail() {
    let text = "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":\n5\nnull";
    let drop = Options { mode: ParseMode::DropMalformed, ..Default::default() };
    assert_eq!(read_with(text, "a int", drop), ["1"]);
    let fail = Options { mode: ParseMode::FailFast, ..Default::default() };
    let mut parser = Parser::new(&schema("a int; b int"), fail).unwrap();
    parser.push("{\"a\":1}").unwrap();
    let e = parser.push("{\"a\":\"x\",\"b\":2}").unwrap_err();
    assert_eq!(e.class(), "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION");
    assert_eq!(e.parameters()[0].1, "[null,2]");
    assert_eq!(
        Parser::new(&schema("a int; _corrupt_record int"), Options::default())
            .err()
            .map(|e| e.class().to_string()),
        Some("INVALID_CORRUPT_RECORD_TYPE".to_string())
    );
}

#[test]
fn rows_of_one_record_share_its_corruption() {
    let text = "[{\"a\":1}, {\"a\":\"x\"}, {\"a\":3}]";
    assert_eq!(
        read(text, "a int; _corrupt_record string"),
        [format!("1|{text}"), format!("null|{text}"), format!("3|{text}")]
    );
    let text = "[{\"a\":1}, 5, {\"a\":3}]";
    assert_eq!(read(text, "a int; _corrupt_record string"), [format!("null|{text}")]);
}

fn infer_with(text: &str, options: Options) -> String {
    let mut inference = Inference::new(options);
    for line in text.split('\n') {
        inference.push(line).unwrap();
    }
    DataType::Struct(inference.finish()).simple_string()
}

fn infer(text: &str) -> String {
    infer_with(text, Options::default())
}

#[test]
fn schemas_are_sparks() {
    assert_eq!(
        infer(
            r#"{"b":1,"a":1.5,"c":"x","d":true,"e":null,"f":[1,2.5],"g":{"y":1,"x":"s"},"h":[],"i":{},"j":[{"a":1},{"b":2}],"k":"","l":12345678901234567890,"m":[null],"n":1.23456789012345678901234567890,"o":123456789012345678901234567890123456789012,"p":[[]],"q":[{}]}
{"b":2.5,"c":5,"d":1,"e":[1],"l":1.5,"g":[1],"i":1}"#
        ),
        "struct<a:double,b:double,c:string,d:string,e:array<bigint>,f:array<double>,g:string,h:array<string>,i:string,\
         j:array<struct<a:bigint,b:bigint>>,k:string,l:double,m:array<string>,n:double,o:double,p:array<array<string>>>"
    );
    assert_eq!(
        infer("{\"a\":1,\"b\":12345678901234567890}\n{\"a\":12345678901234567890,\"b\":1.5}\n{\"a\":1}"),
        "struct<a:decimal(20,0),b:double>"
    );
    assert_eq!(infer("null\n{\"a\":1}\n5\n[{\"a\":2}]\n[]\n\n{}"), "struct<_corrupt_record:string,a:bigint>");
    assert_eq!(infer("{\"a\":1}\n{\"a\":\nfoo"), "struct<_corrupt_record:string,a:bigint>");
    assert_eq!(infer("[{\"a\":1}, 5]"), "struct<_corrupt_record:string>");
    assert_eq!(infer("{\"\":5,\"a\":1}"), "struct<a:bigint>");
    assert_eq!(infer(""), "struct<>");
    let drop = Options { drop_field_if_all_null: true, ..Default::default() };
    assert_eq!(
        infer_with(r#"{"a":null,"b":[],"c":[null],"d":{},"e":{"x":null},"f":1}"#, drop),
        "struct<f:bigint>"
    );
    let strings = Options { primitives_as_string: true, ..Default::default() };
    assert_eq!(
        infer_with(r#"{"a":1.50,"b":true,"d":null,"e":[1],"f":{"a":1}}"#, strings),
        "struct<a:string,b:string,d:string,e:array<string>,f:struct<a:string>>"
    );
    let decimals = Options { prefers_decimal: true, ..Default::default() };
    assert_eq!(
        infer_with(
            "{\"a\":1.5,\"b\":1,\"c\":\"12.5\",\"e\":1e-5,\"f\":0.05}\n{\"a\":123.25,\"c\":\"x\"}",
            decimals
        ),
        "struct<a:decimal(5,2),b:bigint,c:string,e:decimal(5,5),f:decimal(2,2)>"
    );
    let times = Options { infer_timestamp: true, ..Default::default() };
    assert_eq!(
        infer_with(r#"{"a":"2024-01-31T12:34:56Z","b":"2024-01-31","c":"x","d":"12:30","e":"2024"}"#, times),
        "struct<a:timestamp,b:timestamp,c:string,d:timestamp,e:timestamp>"
    );
    let drop = Options { mode: ParseMode::DropMalformed, ..Default::default() };
    assert_eq!(infer_with("{\"a\":1}\n{\"a\":\nfoo\n5", drop), "struct<a:bigint>");
}

#[test]
fn failing_inference_has_sparks_errors() {
    let fail = || Options { mode: ParseMode::FailFast, ..Default::default() };
    let e = Inference::new(fail()).push("{\"a\":").unwrap_err();
    assert_eq!(e.class(), "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION");
    let e = Inference::new(fail()).push("5").unwrap_err();
    assert_eq!((e.class(), e.parameters()[1].1.as_str()), ("INVALID_JSON_RECORD_TYPE", "\"BIGINT\""));
    let e = Inference::new(Options { prefers_decimal: true, ..Default::default() })
        .push("{\"a\":1e5}")
        .unwrap_err();
    assert_eq!(e.class(), "NEGATIVE_SCALE_DISALLOWED");
}

#[test]
fn types_of_single_texts() {
    for (text, expected) in [
        (r#"{"a":1,"b":[1.5,"x"],"c":null}"#, "STRUCT<a: BIGINT, b: ARRAY<STRING>, c: STRING>"),
        (r#"[{"a":1},{"b":2}]"#, "ARRAY<STRUCT<a: BIGINT, b: BIGINT>>"),
        ("5", "BIGINT"),
        ("[]", "ARRAY<STRING>"),
        ("null", "STRING"),
    ] {
        assert_eq!(type_of(text, Options::default()).unwrap().sql(), expected);
    }
    assert!(type_of("bad", Options::default()).is_err());
}

fn from_json(text: &str, t: DataType) -> String {
    let mut parser = ValueParser::new(&t, Options { exact_strings: false, ..Default::default() }).unwrap();
    let array = parser.parse(&StringArray::from(vec![text])).unwrap();
    show(&[array], 1).remove(0)
}

#[test]
fn values_of_texts() {
    let a_int = || DataType::Struct(schema("a int"));
    let ints = || DataType::array(DataType::Integer, true);
    for (text, t, expected) in [
        (
            r#"{"a":{"x": 1, "y" :[1, 2.0]}}"#,
            DataType::Struct(schema("a string")),
            r#"{a: {"x":1,"y":[1,2.0]}}"#,
        ),
        (
            r#"{"a":[1.50,1e5,123456789012345678901234567890,"x",null,true,0.1e-5,1E400,-0,-0.0]}"#,
            DataType::Struct(schema("a string")),
            r#"{a: [1.5,100000.0,123456789012345678901234567890,"x",null,true,1.0E-6,"Infinity",0,-0.0]}"#,
        ),
        ("[1,2]", ints(), "[1, 2]"),
        ("[1,\"x\"]", ints(), "null"),
        (r#"{"a":1}"#, DataType::array(a_int(), true), "[{a: 1}]"),
        (r#"[{"a":1},{"a":2}]"#, a_int(), "{a: null}"),
        (r#"{"a":1}"#, DataType::map(DataType::STRING, DataType::Integer, true), "{a: 1}"),
        (r#"{"a":1,"b":"x"}"#, DataType::map(DataType::STRING, DataType::Integer, true), "null"),
        ("bad", a_int(), "{a: null}"),
        ("", a_int(), "null"),
        (" ", a_int(), "null"),
        ("null", a_int(), "{a: null}"),
        (r#"{"a":1} x"#, a_int(), "{a: 1}"),
        (
            r#"{"a":"x","b":2}"#,
            DataType::Struct(schema("a int; b int; _corrupt_record string")),
            r#"{a: null, b: 2, _corrupt_record: {"a":"x","b":2}}"#,
        ),
    ] {
        assert_eq!(from_json(text, t), expected, "{text}");
    }
}

#[test]
fn values_are_written_as_in_spark() {
    let los_angeles = Zone::parse("America/Los_Angeles").unwrap();
    let options = Options { zone: los_angeles, ..Default::default() };
    let one = |array: ArrayRef, t: DataType, options: &Options| {
        let field = StructField::new("a", t.clone(), true);
        let t = DataType::structure(vec![field.clone()]);
        let fields = vec![boathouse_bridge::arrow_field(&field)].into();
        let array: ArrayRef = Arc::new(arrow::array::StructArray::new(fields, vec![array], None));
        to_json(&array, &t, options).unwrap().value(0).to_string()
    };
    use arrow::array::*;
    let ts = TimestampMicrosecondArray::from(vec![1_706_733_296_123_456]);
    let cases: Vec<(ArrayRef, DataType, &str)> = vec![
        (
            Arc::new(ts.clone().with_timezone("UTC")),
            DataType::Timestamp,
            r#"{"a":"2024-01-31T12:34:56.123-08:00"}"#,
        ),
        (Arc::new(ts), DataType::TimestampNtz, r#"{"a":"2024-01-31T20:34:56.123"}"#),
        (Arc::new(Date32Array::from(vec![19_753])), DataType::Date, r#"{"a":"2024-01-31"}"#),
        (Arc::new(Float64Array::from(vec![1e20])), DataType::Double, r#"{"a":1.0E20}"#),
        (Arc::new(Float64Array::from(vec![f64::NAN])), DataType::Double, r#"{"a":"NaN"}"#),
        (
            Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(10, 7).unwrap()),
            DataType::Decimal { precision: 10, scale: 7 },
            r#"{"a":1E-7}"#,
        ),
        (Arc::new(BinaryArray::from_vec(vec![b"hi"])), DataType::Binary, r#"{"a":"aGk="}"#),
        (
            Arc::new(StringArray::from(vec!["é\"\\\n\t\u{1}/\u{2028}"])),
            DataType::STRING,
            "{\"a\":\"é\\\"\\\\\\n\\t\\u0001/\u{2028}\"}",
        ),
        (Arc::new(Int32Array::from(vec![None])), DataType::Integer, "{}"),
        (
            Arc::new(DurationMicrosecondArray::from(vec![86_400_000_000])),
            DataType::DayTimeInterval { start: IntervalField::Day, end: IntervalField::Day },
            r#"{"a":"INTERVAL '1' DAY"}"#,
        ),
    ];
    for (array, t, expected) in cases {
        assert_eq!(one(array, t, &options), expected);
    }
    let keep = Options { ignore_null_fields: false, ..Default::default() };
    assert_eq!(one(Arc::new(Int32Array::from(vec![None])), DataType::Integer, &keep), r#"{"a":null}"#);
    let pretty = Options { pretty: true, ..Default::default() };
    assert_eq!(one(Arc::new(Int32Array::from(vec![1])), DataType::Integer, &pretty), "{\n  \"a\" : 1\n}");
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]));
    assert_eq!(one(list, DataType::array(DataType::Integer, true), &options), r#"{"a":[1,null]}"#);
}

#[test]
fn many_fields_are_found() {
    let ddl: Vec<String> = (0..50).map(|i| format!("f{i} int")).collect();
    let text: Vec<String> = (0..50).rev().map(|i| format!("\"f{i}\":{i}")).collect();
    let rows = read(&format!("{{{}}}", text.join(",")), &ddl.join(";"));
    let expected: Vec<String> = (0..50).map(|i| i.to_string()).collect();
    assert_eq!(rows, [expected.join("|")]);
}

#[test]
fn hostile_texts_do_not_panic() {
    let t = schema(
        "a struct<x:integer>; b array<string>; c map<string,double>; d decimal(38,10); e timestamp; f binary",
    );
    let mut parser = Parser::new(&t, Options::default()).unwrap();
    let deep = "[".repeat(5000);
    for text in [
        "{\"a\":",
        "{\"a\":{\"x\"",
        "{\"b\":[\"",
        "{\"b\":[\"\\u",
        "{\"c\":{\"k\":1e",
        "{\"d\":1e99999999999}",
        "{\"d\":99999999999999999999999999999999999999999999}",
        "{\"e\":9223372036854775807}",
        "{\"e\":\"é\"}",
        "\u{feff}{}",
        "{\"e\":\"+999999-01-01\"}",
        "{\"b\":[\"\\ud800\\u0041\"]}",
        "{\"f\":\"é\"}",
        deep.as_str(),
    ] {
        parser.push(text).unwrap();
    }
    parser.push_bytes(b"{\"b\":[\"\xff\"]}").unwrap();
    assert!(parser.finish().unwrap().column(1).as_list::<i32>().len() > 10);
}
