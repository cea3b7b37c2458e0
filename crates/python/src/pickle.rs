//! Plain values as Python pickles: constants that a table function's `analyze` may look at.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    None,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The pickle of a value (protocol 3).
pub fn pickle(value: &Plain) -> Vec<u8> {
    let mut out = vec![0x80, 3];
    match value {
        Plain::None => out.push(b'N'),
        Plain::Boolean(true) => out.push(0x88),
        Plain::Boolean(false) => out.push(0x89),
        Plain::Integer(n) => match i32::try_from(*n) {
            Ok(n) => {
                out.push(b'J');
                out.extend(n.to_le_bytes());
            }
            // A whole number of eight bytes, the lowest first.
            Err(_) => {
                out.extend([0x8a, 8]);
                out.extend(n.to_le_bytes());
            }
        },
        Plain::Double(d) => {
            out.push(b'G');
            out.extend(d.to_be_bytes());
        }
        Plain::Text(text) => {
            out.push(b'X');
            out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(text.as_bytes());
        }
        Plain::Bytes(bytes) => {
            out.push(b'B');
            out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(bytes);
        }
    }
    out.push(b'.');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_pythons() {
        // pickle.dumps(x, 3) and what pickle.loads makes of ours.
        assert_eq!(pickle(&Plain::None), b"\x80\x03N.");
        assert_eq!(pickle(&Plain::Boolean(true)), b"\x80\x03\x88.");
        assert_eq!(pickle(&Plain::Integer(-2)), b"\x80\x03J\xfe\xff\xff\xff.");
        assert_eq!(pickle(&Plain::Text("x".into())), b"\x80\x03X\x01\x00\x00\x00x.");
        assert_eq!(pickle(&Plain::Double(1.5)), b"\x80\x03G\x3f\xf8\x00\x00\x00\x00\x00\x00.");
    }
}
