//! Bytes as Apache Spark wrote them.

use super::*;
use crate::zone::Zone;

fn parsed(text: &str) -> (Vec<u8>, Vec<u8>) {
    let mut builder = Builder::new();
    assert!(parse_json(text, &mut builder).unwrap(), "{text}");
    let mut metadata = Vec::new();
    builder.write_metadata(&mut metadata).unwrap();
    (metadata, builder.value().to_vec())
}

fn there_and_back(text: &str) -> String {
    let (metadata, value) = parsed(text);
    let variant = Variant::new(&metadata, &value);
    variant.check().unwrap();
    assert_eq!(variant.value().unwrap().len(), value.len());
    let mut out = String::new();
    write_json(&variant, &Zone::UTC, &mut out).unwrap();
    out
}

#[test]
fn bytes_are_sparks() {
    let (metadata, value) = parsed(r#"{"a":true,"b":3.14}"#);
    assert_eq!(metadata, b"\x01\x02\x00\x01\x02ab");
    assert_eq!(value, b"\x02\x02\x00\x01\x00\x01\x07\x04\x20\x02\x3a\x01\x00\x00");
    let (metadata, value) = parsed(r#"[1,"x"]"#);
    assert_eq!(metadata, b"\x01\x00\x00");
    assert_eq!(value, b"\x03\x02\x00\x02\x04\x0c\x01\x05x");
}

#[test]
fn json_comes_back() {
    for (text, wanted) in [
        (r#" {"b" : 1, "a": {"d":2,"c":[]}} x"#, r#"{"a":{"c":[],"d":2},"b":1}"#),
        ("[1,2.50,1e3,null,true,\"x\\ny\"]", "[1,2.5,1000.0,null,true,\"x\\ny\"]"),
        ("123456789012345678901234567890123456789", "1.2345678901234568E38"),
        ("-0.0", "0"),
        ("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"),
        ("[-128,128,-32769,2147483648]", "[-128,128,-32769,2147483648]"),
    ] {
        assert_eq!(there_and_back(text), wanted);
    }
    let long = format!(
        "[{}]",
        (0..1000).map(|i| format!("{{\"k{i}\":\"{}\"}}", "v".repeat(70))).collect::<Vec<_>>().join(",")
    );
    assert_eq!(there_and_back(&long), long);
}

#[test]
fn fields_are_found() {
    let text = format!("{{{}}}", (0..500).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(","));
    let (metadata, value) = parsed(&text);
    let variant = Variant::new(&metadata, &value);
    for i in [0, 7, 99, 499] {
        let found = variant.field(&format!("k{i}")).unwrap().unwrap();
        assert_eq!(found.kind().unwrap(), Kind::Long(i));
    }
    assert_eq!(variant.field("nope").unwrap(), None);
    assert_eq!(variant.element(0).unwrap(), None);
}

#[test]
fn bad_texts_and_bytes() {
    for text in ["", "{", "{a:1}", "[1,]", "NaN", "'x'", "01", "12."] {
        assert!(!parse_json(text, &mut Builder::new()).unwrap(), "{text}");
    }
    assert!(parse_json(r#"{"a":1,"a":2}"#, &mut Builder::new()).is_err());
    assert!(!parse_json(&"[".repeat(5000), &mut Builder::new()).unwrap());
    let (metadata, value) = parsed(r#"{"a":[1,{"b":"text"}]}"#);
    for i in 0..value.len() {
        for change in [0u8, 1, 0x7f, 0xff] {
            let mut bad = value.clone();
            bad[i] ^= change;
            let variant = Variant::new(&metadata, &bad);
            let _ = variant.check();
            let _ = write_json(&variant, &Zone::UTC, &mut String::new());
            let _ = Variant::new(&metadata, &value[..i]).check();
            let _ = Variant::new(&metadata[..i.min(metadata.len())], &value).check();
        }
    }
}
