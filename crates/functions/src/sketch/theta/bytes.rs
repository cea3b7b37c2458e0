//! The binary form: an ordered compact sketch, its hashes as packed differences (the library's version 4), or one plain hash.

use super::state::{ALL, Theta};

const FAMILY: u8 = 3;
pub(in crate::sketch) const EMPTY: u8 = 4;
const SINGLE_ITEM: u8 = 32;
/// Compact, ordered, read only.
const FLAGS: u8 = 8 | 16 | 2;
/// What says that hashes are those of the library's usual seed.
pub(in crate::sketch) const SEED_HASH: [u8; 2] = [0xCC, 0x93];

impl Theta {
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.is_empty {
            return vec![1, 3, FAMILY, 0, 0, FLAGS | EMPTY, 0, 0];
        }
        if let (1, ALL) = (self.hashes.len(), self.theta) {
            let mut out = vec![1, 3, FAMILY, 0, 0, FLAGS | SINGLE_ITEM, SEED_HASH[0], SEED_HASH[1]];
            self.hashes.iter().for_each(|h| out.extend(h.to_le_bytes()));
            return out;
        }
        let mut last = 0;
        let differences: Vec<u64> =
            self.hashes.iter().map(|h| h - std::mem::replace(&mut last, *h)).collect();
        let all = differences.iter().fold(0, |a, d| a | d);
        let bits = 64 - all.leading_zeros() as u8;
        let count = differences.len() as u32;
        let count_bytes = (32 - count.leading_zeros()).div_ceil(8) as u8;
        let is_estimate = self.theta < ALL;
        let longs = if is_estimate { 2 } else { 1 };
        let mut out = vec![longs, 4, FAMILY, bits, count_bytes, FLAGS, SEED_HASH[0], SEED_HASH[1]];
        if is_estimate {
            out.extend(self.theta.to_le_bytes());
        }
        out.extend(&count.to_le_bytes()[..usize::from(count_bytes)]);
        pack(&differences, bits, &mut out);
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [longs, version, family, bits, count_bytes, flags, _, _] = *bytes.first_chunk::<8>()?;
        let mut sketch = Self::new(super::DEFAULT_LG_NOMINAL as u8);
        if family != FAMILY || !matches!(version, 3 | 4) || !(1..=3).contains(&longs) {
            return None;
        }
        if flags & EMPTY != 0 {
            return Some(sketch);
        }
        sketch.is_empty = false;
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if version == 4 {
            let mut at = 8;
            if longs > 1 {
                sketch.theta = long(8)?;
                at = 16;
            }
            let count = bytes
                .get(at..at + usize::from(count_bytes))?
                .iter()
                .rev()
                .fold(0usize, |n, b| n << 8 | usize::from(*b));
            at += usize::from(count_bytes);
            let mut hash = 0u64;
            for difference in unpack(bytes.get(at..)?, bits, count)? {
                hash = hash.checked_add(difference)?;
                sketch.hashes.insert(hash);
            }
            return Some(sketch);
        }
        let (count, first) = match longs {
            1 => (1, 8),
            _ => (u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize, usize::from(longs) * 8),
        };
        if longs == 3 {
            sketch.theta = long(16)?;
        }
        for i in 0..count {
            sketch.hashes.insert(long(first + 8 * i)?);
        }
        Some(sketch)
    }
}

/// Numbers of so many bits each, one after the other, the highest bit first.
fn pack(numbers: &[u64], bits: u8, out: &mut Vec<u8>) {
    let (mut held, mut count) = (0u128, 0u32);
    for n in numbers {
        held = held << bits | u128::from(*n);
        count += u32::from(bits);
        while count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
        }
        held &= (1 << count) - 1;
    }
    if count > 0 {
        out.push((held << (8 - count)) as u8);
    }
}

fn unpack(bytes: &[u8], bits: u8, count: usize) -> Option<Vec<u64>> {
    if bits == 0 || bits > 64 || bytes.len() * 8 < count.checked_mul(usize::from(bits))? {
        return None;
    }
    let (mut held, mut in_hand) = (0u128, 0u32);
    let mut next = bytes.iter();
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        while in_hand < u32::from(bits) {
            held = held << 8 | u128::from(*next.next()?);
            in_hand += 8;
        }
        in_hand -= u32::from(bits);
        out.push((held >> in_hand) as u64);
        held &= (1 << in_hand) - 1;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hex(theta_sketch_agg(id))` of Spark 4.2.
    #[test]
    fn bytes_are_those_of_the_library() {
        let of = |n: i64| {
            let mut sketch = Theta::new(12);
            (0..n).for_each(|v| sketch.update_long(v));
            let bytes = sketch.to_bytes();
            assert_eq!(Theta::from_bytes(&bytes).as_ref(), Some(&sketch));
            bytes.iter().map(|b| format!("{b:02X}")).collect::<String>()
        };
        assert_eq!(of(0), "01030300001E0000");
        assert_eq!(of(1), "01030300003ACC93E56B61EEC8804420");
        assert_eq!(of(3), "0104033D011ACC93032D0C35EE5BEFC8AE3EFA70D1DFA7AB834E208FB6C9A844");
        of(1000);
    }
}
