//! Texts and answers of Apache Spark.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray, StructArray};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, StructField, StructType};

use super::*;
use crate::options::SessionDefaults;
use crate::rescue::Rescue;

fn options(given: &[(&str, &str)], writing: bool) -> Options {
    let given: Vec<_> = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Options::parse(&given, &SessionDefaults::default(), writing).unwrap()
}

#[test]
fn documents_are_well_formed_or_none() {
    for text in [
        "<p/>",
        "<?xml version='1.0'?><!-- c --><p a='1'>x<b/></p>",
        "<!DOCTYPE p [<!ENTITY e 'v'>]><p>&e;</p>",
    ] {
        assert!(Document::parse(text, true).is_some(), "{text}");
    }
    for text in
        ["", "x", "<p>", "<p></q>", "<p a=1/>", "<p a='1' a='2'/>", "<p>&foo;</p>", "<p/><q/>", "<p a='<'/>"]
    {
        assert!(Document::parse(text, true).is_none(), "{text}");
    }
    assert!(Document::parse(&"<a>".repeat(100_000), true).is_none());
    let bomb = "<!DOCTYPE p [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]><p>&b;</p>";
    assert!(Document::parse(bomb, true).is_none());
    let entity = "<!DOCTYPE p [<!ENTITY e 'v'>]><p>&e;</p>";
    let record = Document::parse(entity, false).unwrap();
    assert!(record.element().is_some_and(|e| record.is_unexpanded(e) && record.text(e).is_empty()));
    assert!(Document::parse("<p>a & b</p>", false).is_none());
}

#[test]
fn elements_and_attributes_are_fields() {
    let schema = StructType::new(vec![
        StructField::new("_a", DataType::Integer, true),
        StructField::new("b", DataType::array(DataType::Integer, true), true),
    ]);
    let texts = StringArray::from(vec!["<p a=\"1\"><b>2</b><b>3</b></p>"]);
    let out = from_xml(&texts, &schema, &options(&[], false)).unwrap();
    let row = out.as_struct();
    assert_eq!(row.column(0).as_primitive::<Int32Type>().value(0), 1);
    assert_eq!(row.column(1).as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[2, 3]);
}

/// What is rescued of a record, read as `id INT, s STRUCT<a: INT>, list ARRAY<INT>, map MAP<STRING, STRUCT<a: INT>>`.
fn rescued(text: &str, case_sensitive: bool) -> Option<String> {
    let a = DataType::structure(vec![StructField::new("a", DataType::Integer, true)]);
    let schema = StructType::new(vec![
        StructField::new("id", DataType::Integer, true),
        StructField::new("s", a.clone(), true),
        StructField::new("list", DataType::array(DataType::Integer, true), true),
        StructField::new("map", DataType::map(DataType::STRING, a, true), true),
        StructField::new("r", DataType::STRING, true),
    ]);
    let options = Options {
        rescue: Some(Rescue { column: "r".to_string(), case_sensitive }),
        null_value: Some("-".to_string()),
        ..options(&[("mode", "FAILFAST")], false)
    };
    let out = from_xml(&StringArray::from(vec![text]), &schema, &options).unwrap();
    let texts = out.as_struct().column(4).as_string::<i32>().clone();
    texts.is_valid(0).then(|| texts.value(0).to_string())
}

#[test]
fn what_has_no_place_is_rescued() {
    for (text, wanted) in [
        ("<p><id>1</id><s><a>2</a></s><list>1</list><list>2</list></p>", None),
        ("<p x='1'><id>no</id><ID>2</ID></p>", Some(r#"{"_x":"1","id":"no","ID":"2"}"#)),
        ("<p>text<y>-</y><z/></p>", Some(r#"{"_VALUE":"text","z":""}"#)),
        ("<p><y>1</y><y u='\"'>2<v>3</v></y></p>", Some(r#"{"y":["1",{"_u":"\"","_VALUE":"2","v":"3"}]}"#)),
        ("<p><s>t<a>x</a><b>1</b></s></p>", Some(r#"{"s":{"_VALUE":"t","a":"x","b":"1"}}"#)),
        ("<p><list>1</list><list>x</list></p>", Some(r#"{"list":["1","x"]}"#)),
        ("<p><map><k><a>1</a></k><l><b>2</b></l></map></p>", Some(r#"{"map":{"l":{"b":"2"}}}"#)),
        ("<p><id>1<x/></id></p>", Some(r#"{"id":{"_VALUE":"1","x":""}}"#)),
    ] {
        assert_eq!(rescued(text, true).as_deref(), wanted, "{text}");
    }
    assert_eq!(rescued("<p><ID>2</ID></p>", false), None);
    assert_eq!(rescued("<p><ID>x</ID></p>", false).as_deref(), Some(r#"{"id":"x"}"#));
}

#[test]
fn types_are_found() {
    for (text, wanted) in [
        (
            "<p><a>1</a><b>x</b><c>1.5</c><d>true</d><a>2</a></p>",
            "STRUCT<a: ARRAY<BIGINT>, b: STRING, c: DOUBLE, d: BOOLEAN>",
        ),
        ("<p><a x=\"1\">v</a><a>w</a></p>", "STRUCT<a: ARRAY<STRUCT<_VALUE: STRING, _x: BIGINT>>>"),
        ("<p></p>", "STRUCT<>"),
        ("x", "STRUCT<_corrupt_record: STRING>"),
    ] {
        assert_eq!(type_of(text, &options(&[], false)).unwrap().sql(), wanted, "{text}");
    }
}

#[test]
fn rows_are_elements() {
    let schema = DataType::structure(vec![
        StructField::new("_a", DataType::STRING, true),
        StructField::new("b", DataType::Integer, true),
    ]);
    let boathouse = boathouse_bridge::arrow_type(&schema);
    let arrow::datatypes::DataType::Struct(fields) = boathouse else { unreachable!() };
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["<\"&\n>"])), Arc::new(Int32Array::from(vec![1]))];
    let array: ArrayRef = Arc::new(StructArray::new(fields, columns, None));
    let out = to_xml(&array, &schema, &options(&[], true)).unwrap();
    assert_eq!(out.value(0), "<ROW a=\"&lt;&quot;&amp;&#xa;>\">\n    <b>1</b>\n</ROW>");
    assert_eq!(out.len(), 1);
}
