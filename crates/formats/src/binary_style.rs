//! How binary values are shown as text: `spark.sql.binaryOutputStyle` (Spark's `ToStringBase.getBinaryFormatter`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BinaryStyle {
    /// The text whose bytes they are.
    Utf8,
    /// Signed numbers in brackets.
    Basic,
    Base64,
    Hex,
    /// `[45 61]`
    #[default]
    HexDiscrete,
}

impl BinaryStyle {
    /// By its name in the session's settings; none is the last.
    pub fn named(name: Option<&str>) -> Self {
        match name.unwrap_or_default().to_uppercase().as_str() {
            "UTF-8" => Self::Utf8,
            "BASIC" => Self::Basic,
            "BASE64" => Self::Base64,
            "HEX" => Self::Hex,
            _ => Self::HexDiscrete,
        }
    }

    pub fn write(self, bytes: &[u8], out: &mut String) {
        let joined = |of: &dyn Fn(u8) -> String, between: &str| {
            bytes.iter().map(|b| of(*b)).collect::<Vec<_>>().join(between)
        };
        let hex = |b: u8| format!("{b:02X}");
        match self {
            Self::Utf8 => out.push_str(&String::from_utf8_lossy(bytes)),
            Self::Basic => out.push_str(&format!("[{}]", joined(&|b| (b as i8).to_string(), ", "))),
            Self::Base64 => out.push_str(&STANDARD_NO_PAD.encode(bytes)),
            Self::Hex => out.push_str(&joined(&hex, "")),
            Self::HexDiscrete => out.push_str(&format!("[{}]", joined(&hex, " "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style() {
        let shown = |name| {
            let mut out = String::new();
            BinaryStyle::named(name).write(b"Ea\xff", &mut out);
            out
        };
        assert_eq!(shown(None), "[45 61 FF]");
        assert_eq!(shown(Some("hex")), "4561FF");
        assert_eq!(shown(Some("BASIC")), "[69, 97, -1]");
        assert_eq!(shown(Some("BASE64")), "RWH/");
        assert_eq!(shown(Some("UTF-8")), "Ea\u{fffd}");
    }
}
