//! Well-known binary: the form of points, lines and areas as bytes (OGC Simple Feature Access; Spark's `WkbReader` and
//! `WkbWriter`).

use boathouse_spec::{Error, Result};

/// Collections in collections, at most.
const MAX_DEPTH: usize = 500;

const POINT: u32 = 1;
const LINE: u32 = 2;
const POLYGON: u32 = 3;
const MULTI_POINT: u32 = 4;
const MULTI_LINE: u32 = 5;
const MULTI_POLYGON: u32 = 6;
const COLLECTION: u32 = 7;

/// The order of bytes in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endianness {
    Big,
    Little,
}

/// Reads a value and writes it anew, in another order of bytes or the same. A geography's coordinates are degrees.
pub(super) fn rewritten(wkb: &[u8], is_geography: bool, to: Endianness, out: &mut Vec<u8>) -> Result<()> {
    if wkb.is_empty() {
        return Err(malformed("WKB data is empty or null", 0));
    }
    if wkb.len() < 5 {
        return Err(malformed("Unexpected end of WKB buffer", 0));
    }
    let mut reader = Reader { wkb, at: 0, is_geography, to, out };
    reader.geometry(None, 0).map(|_| ())
}

struct Reader<'a> {
    wkb: &'a [u8],
    at: usize,
    is_geography: bool,
    to: Endianness,
    out: &'a mut Vec<u8>,
}

/// What coordinates a geometry has beside x and y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dimensions {
    has_z: bool,
    has_m: bool,
}

impl Dimensions {
    fn count(self) -> usize {
        2 + usize::from(self.has_z) + usize::from(self.has_m)
    }
}

impl Reader<'_> {
    /// A geometry of any kind; inside another it has the dimensions of that. Gives its kind.
    fn geometry(&mut self, within: Option<Dimensions>, depth: usize) -> Result<u32> {
        if depth > MAX_DEPTH {
            return Err(malformed("Geometries are nested too deeply", self.at));
        }
        let order = self.endianness()?;
        let type_at = self.at;
        let code = self.integer(order)?;
        let (kind, dimensions) = kind_of(code)
            .ok_or_else(|| malformed(&format!("Invalid or unsupported type {code}"), type_at))?;
        if within.is_some_and(|d| d != dimensions) {
            return Err(malformed(&format!("Invalid or unsupported type {code}"), type_at));
        }
        self.out.push(u8::from(self.to == Endianness::Little));
        self.put_integer(code);
        match kind {
            POINT => self.point(order, dimensions, true).map(|_| ())?,
            LINE => self.line(order, dimensions)?,
            POLYGON => {
                for _ in 0..self.count(order, 4)? {
                    self.ring(order, dimensions)?;
                }
            }
            _ => {
                for _ in 0..self.count(order, 5)? {
                    let at = self.at;
                    let inner = self.geometry(Some(dimensions), depth + 1)?;
                    let expected = match kind {
                        MULTI_POINT => Some((POINT, "Expected Point in MultiPoint")),
                        MULTI_LINE => Some((LINE, "Expected LineString in MultiLineString")),
                        MULTI_POLYGON => Some((POLYGON, "Expected Polygon in MultiPolygon")),
                        _ => None,
                    };
                    if let Some((wanted, problem)) = expected
                        && inner != wanted
                    {
                        return Err(malformed(problem, at));
                    }
                }
            }
        }
        Ok(kind)
    }

    fn line(&mut self, order: Endianness, dimensions: Dimensions) -> Result<()> {
        let at = self.at;
        let count = self.count(order, 8 * dimensions.count())?;
        if count == 1 {
            return Err(malformed("Too few points in linestring", at));
        }
        (0..count).try_for_each(|_| self.point(order, dimensions, false).map(|_| ()))
    }

    fn ring(&mut self, order: Endianness, dimensions: Dimensions) -> Result<()> {
        let at = self.at;
        let count = self.count(order, 8 * dimensions.count())?;
        let mut ends = None;
        for _ in 0..count {
            let point = self.point(order, dimensions, false)?;
            let (first, _) = ends.unwrap_or((point, point));
            ends = Some((first, point));
        }
        if count < 4 {
            return Err(malformed("Too few points in ring", at));
        }
        // By x and y as numbers: the other coordinates need not come back, and one zero is as good as the other.
        if ends.is_some_and(|(first, last)| first != last) {
            return Err(malformed("Ring is not closed", at));
        }
        Ok(())
    }

    /// A point without coordinates has NaN in their place. Gives x and y.
    fn point(&mut self, order: Endianness, dimensions: Dimensions, may_be_empty: bool) -> Result<[f64; 2]> {
        let start = self.at;
        let mut plane = [0.0; 2];
        for i in 0..dimensions.count() {
            let at = self.at;
            let value = self.double(order)?;
            let is_empty = may_be_empty && value.is_nan();
            let is_in_bounds = match i {
                _ if is_empty || !self.is_geography => true,
                0 => (-180.0..=180.0).contains(&value),
                1 => (-90.0..=90.0).contains(&value),
                _ => true,
            };
            if !(value.is_finite() || is_empty) {
                return Err(malformed("Invalid coordinate value found", at));
            }
            if !is_in_bounds {
                return Err(malformed("Invalid coordinate value found", start));
            }
            if let Some(place) = plane.get_mut(i) {
                *place = value;
            }
        }
        Ok(plane)
    }

    fn endianness(&mut self) -> Result<Endianness> {
        let at = self.at;
        match self.bytes::<1>()? {
            [0] => Ok(Endianness::Big),
            [1] => Ok(Endianness::Little),
            [other] => Err(malformed(&format!("Invalid byte order {other}"), at)),
        }
    }

    /// How many parts follow, each of `size` bytes or more, and so no more than there can be.
    fn count(&mut self, order: Endianness, size: usize) -> Result<u32> {
        let at = self.at;
        let count = self.integer(order)?;
        let left = self.wkb.len() - self.at;
        if (count as usize).saturating_mul(size) > left {
            return Err(malformed("Unexpected end of WKB buffer", at));
        }
        self.put_integer(count);
        Ok(count)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.wkb.get(self.at..self.at + N).and_then(|part| part.try_into().ok());
        let found = found.ok_or_else(|| malformed("Unexpected end of WKB buffer", self.at))?;
        self.at += N;
        Ok(found)
    }

    fn integer(&mut self, order: Endianness) -> Result<u32> {
        let bytes = self.bytes::<4>()?;
        Ok(match order {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        })
    }

    fn double(&mut self, order: Endianness) -> Result<f64> {
        let bytes = self.bytes::<8>()?;
        let value = match order {
            Endianness::Big => f64::from_be_bytes(bytes),
            Endianness::Little => f64::from_le_bytes(bytes),
        };
        self.out.extend(match self.to {
            Endianness::Big => value.to_be_bytes(),
            Endianness::Little => value.to_le_bytes(),
        });
        Ok(value)
    }

    fn put_integer(&mut self, value: u32) {
        self.out.extend(match self.to {
            Endianness::Big => value.to_be_bytes(),
            Endianness::Little => value.to_le_bytes(),
        });
    }
}

/// The kind of a type's code: thousands say which coordinates there are.
fn kind_of(code: u32) -> Option<(u32, Dimensions)> {
    let kind = code % 1000;
    let (has_z, has_m) = match code / 1000 {
        0 => (false, false),
        1 => (true, false),
        2 => (false, true),
        3 => (true, true),
        _ => return None,
    };
    (POINT..=COLLECTION).contains(&kind).then_some((kind, Dimensions { has_z, has_m }))
}

fn malformed(problem: &str, at: usize) -> Error {
    Error::new("WKB_PARSE_ERROR")
        .param("parseError", problem)
        .param("pos", at)
        .message(format!("The bytes are no well-known binary (WKB): {problem} at position {at}."))
        .exception("SparkRuntimeException")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn little(hex: &str, is_geography: bool) -> std::result::Result<Vec<u8>, String> {
        let mut out = Vec::new();
        rewritten(&bytes(hex), is_geography, Endianness::Little, &mut out)
            .map(|()| out)
            .map_err(|e| e.class().to_string())
    }

    const POINT_1_2: &str = "0101000000000000000000F03F0000000000000040";

    #[test]
    fn values_are_written_as_they_were_read() {
        let line = "01020000000200000000000000000000000000000000000000000000000000F03F000000000000F03F";
        let within = format!("010700000002000000{POINT_1_2}{line}");
        for hex in [POINT_1_2, line, &within, "01E9030000000000000000F03F00000000000000400000000000000840"] {
            assert_eq!(little(hex, false), Ok(bytes(hex)), "{hex}");
        }
        assert_eq!(little("00000000013FF00000000000004000000000000000", true), Ok(bytes(POINT_1_2)));
        let mut big = Vec::new();
        rewritten(&bytes(POINT_1_2), false, Endianness::Big, &mut big).unwrap();
        assert_eq!(big, bytes("00000000013FF00000000000004000000000000000"));
    }

    /// What Spark 4.2 says of the same rings.
    #[test]
    fn rings_close_in_the_plane() {
        let ring = |code: u32, points: &[&[f64]]| {
            let mut wkb = vec![1];
            [code, 1, points.len() as u32].iter().for_each(|n| wkb.extend(n.to_le_bytes()));
            points.iter().copied().flatten().for_each(|n| wkb.extend(n.to_le_bytes()));
            let mut out = Vec::new();
            let read = rewritten(&wkb, false, Endianness::Little, &mut out);
            read.map(|()| out == wkb).map_err(|e| e.text().to_string())
        };
        let (b, c) = ([1.0, 0.0], [1.0, 1.0]);
        assert_eq!(ring(3, &[&[0.0, 0.0], &b, &c, &[-0.0, 0.0]]), Ok(true));
        assert!(ring(3, &[&[0.0, 0.0], &b, &c, &[0.0, 1e-300]]).is_err_and(|e| e.contains("not closed")));
        let (b, c) = ([1.0, 0.0, 5.0], [1.0, 1.0, 5.0]);
        for code in [1003, 2003] {
            assert_eq!(ring(code, &[&[0.0, 0.0, 1.0], &b, &c, &[0.0, -0.0, 2.0]]), Ok(true));
        }
    }

    #[test]
    fn what_is_no_geometry_is_refused() {
        let far = "01010000000000000000F06F400000000000000040";
        assert!(little(far, false).is_ok());
        for hex in [
            "",
            "01",
            "0201000000000000000000F03F0000000000000040",
            "0101000020E6100000000000000000F03F0000000000000040",
            // One point is no line, and three are no ring.
            "010200000001000000000000000000F03F000000000000F03F",
            // A count that the bytes do not hold.
            "0102000000FFFFFFFF",
            // Points only.
            &format!("010400000001000000{}", "0102000000000000000000000000000000"),
        ] {
            assert_eq!(little(hex, false), Err("WKB_PARSE_ERROR".to_string()), "{hex}");
        }
        assert_eq!(little(far, true), Err("WKB_PARSE_ERROR".to_string()));
    }
}
