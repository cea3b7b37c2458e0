//! The binary form (DataSketches' updatable form of an HLL_8 sketch).

use super::state::{Hll, Mode, Registers, insert};

const FAMILY: u8 = 7;
const EMPTY: u8 = 4;
const COMPACT: u8 = 8;
const OUT_OF_ORDER: u8 = 16;
/// The kind of registers, a byte each; the lowest two bits of that byte say how values are kept.
const HLL_8: u8 = 2 << 2;

impl Hll {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out;
        match &self.mode {
            Mode::List(coupons) => {
                let flags = if coupons.is_empty() { EMPTY } else { 0 };
                out = vec![2, 1, FAMILY, self.lg_k, 3, flags, coupons.len() as u8, HLL_8];
                let places = coupons.iter().copied().chain(std::iter::repeat(0)).take(8);
                places.for_each(|c| out.extend(c.to_le_bytes()));
            }
            Mode::Set { lg, table, count } => {
                out = vec![3, 1, FAMILY, self.lg_k, *lg, 0, 0, HLL_8 | 1];
                out.extend((*count as u32).to_le_bytes());
                table.iter().for_each(|c| out.extend(c.to_le_bytes()));
            }
            Mode::Registers(r) => {
                let flags = if r.is_out_of_order { OUT_OF_ORDER } else { 0 };
                out = vec![10, 1, FAMILY, self.lg_k, 0, flags, 0, HLL_8 | 2];
                [r.hip, r.kxq.0, r.kxq.1].iter().for_each(|v| out.extend(v.to_le_bytes()));
                let zeros = r.values.iter().filter(|v| **v == 0).count() as u32;
                out.extend(zeros.to_le_bytes());
                out.extend(0u32.to_le_bytes());
                out.extend(&r.values);
            }
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [ints, version, family, lg_k, lg, flags, list_count, mode] = *bytes.first_chunk::<8>()?;
        if version != 1 || family != FAMILY || !(4..=21).contains(&lg_k) || mode & 0b1100 != HLL_8 {
            return None;
        }
        let int = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let double = |at: usize| Some(f64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let is_compact = flags & COMPACT != 0;
        let mode = match (mode & 3, ints) {
            (0, 2) => {
                let coupons =
                    (0..usize::from(list_count)).map(|i| int(8 + 4 * i)).collect::<Option<Vec<_>>>()?;
                Mode::List(coupons)
            }
            (1, 3) if (5..=21).contains(&lg) => {
                let count = int(8)? as usize;
                let places = if is_compact { count } else { 1 << lg };
                let coupons = (0..places).map(|i| int(12 + 4 * i)).collect::<Option<Vec<_>>>()?;
                let mut table = vec![0; 1 << lg];
                if count >= table.len() {
                    return None;
                }
                coupons.into_iter().filter(|c| *c != 0).for_each(|c| {
                    insert(&mut table, lg, c);
                });
                Mode::Set { lg, count: table.iter().filter(|c| **c != 0).count(), table }
            }
            (2, 10) => Mode::Registers(Registers {
                values: bytes.get(40..40 + (1 << lg_k))?.to_vec(),
                hip: double(8)?,
                kxq: (double(16)?, double(24)?),
                is_out_of_order: flags & OUT_OF_ORDER != 0,
            }),
            _ => return None,
        };
        Some(Self { lg_k, mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02X}")).collect()
    }

    /// `hex(hll_sketch_agg(id, k))` of Spark 4.2.
    #[test]
    fn bytes_are_those_of_the_library() {
        let of = |n: i64, lg_k| {
            let mut sketch = Hll::new(lg_k);
            (0..n).for_each(|v| sketch.update_long(v));
            let bytes = sketch.to_bytes();
            assert_eq!(Hll::from_bytes(&bytes).map(|read| read.estimate()), Some(sketch.estimate()));
            hex(&bytes)
        };
        assert_eq!(
            of(0, 12),
            "0201070C030400080000000000000000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(
            of(3, 12),
            "0201070C03000308CBD7C2042BF2FB06862FF90D0000000000000000000000000000000000000000"
        );
        // The running estimate (bytes 8 to 15) begins with an interpolation that the library rounds in its own way.
        let full = of(20, 4);
        let library = "0A0107040000000A0BB66A5349CC32400000000000A420400000000000000000050000000000000004010101030103000100000202000700";
        assert_eq!((&full[..16], &full[32..]), (&library[..16], &library[32..]));
        let estimate =
            |hex: &str| u64::from_str_radix(&hex[16..32], 16).map(|bits| f64::from_bits(bits.swap_bytes()));
        let difference = estimate(&full).unwrap() - estimate(library).unwrap();
        assert!(difference.abs() < 1e-6, "{difference}");
        assert!(of(20, 8).starts_with("0301070805000009140000000000000081BC5D06"));
    }
}
