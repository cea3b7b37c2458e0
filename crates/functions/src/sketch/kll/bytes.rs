//! The binary form of a sketch (DataSketches' `KllPreambleUtil`), and its summary as text.

use super::Item;
use super::state::{Kll, M};

const FAMILY: u8 = 15;
const EMPTY: u8 = 1;
const LEVEL_ZERO_SORTED: u8 = 2;
const SINGLE_ITEM: u8 = 4;
/// Bytes before the levels of a sketch of several values, and before the value of a short one.
const FULL_PREAMBLE: usize = 20;
const SHORT_PREAMBLE: usize = 8;

impl<T: Item> Kll<T> {
    pub fn to_bytes(&self) -> Vec<u8> {
        let is_single = self.n == 1;
        let is_full = self.n > 1;
        let mut flags = if self.n == 0 { EMPTY } else { 0 };
        flags |= if self.is_level_zero_sorted { LEVEL_ZERO_SORTED } else { 0 };
        flags |= if is_single { SINGLE_ITEM } else { 0 };
        let (ints, version) = if is_full { (5, 1) } else { (2, if is_single { 2 } else { 1 }) };
        let mut out = vec![ints, version, FAMILY, flags];
        out.extend(self.k.to_le_bytes());
        out.extend([M as u8, 0]);
        if is_full {
            out.extend(self.n.to_le_bytes());
            out.extend(self.min_k.to_le_bytes());
            out.extend([self.levels.len() as u8, 0]);
            // Where each level begins, of an array that is filled from its end.
            let mut at = self.capacity() - self.retained();
            for level in &self.levels {
                out.extend((at as u32).to_le_bytes());
                at += level.len();
            }
            if let Some((least, most)) = self.range {
                least.write(&mut out);
                most.write(&mut out);
            }
        }
        self.levels.iter().flatten().for_each(|i| i.write(&mut out));
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [ints, _, family, flags] = *bytes.first_chunk::<4>()?;
        let k = u16::from_le_bytes(bytes.get(4..6)?.try_into().ok()?);
        if family != FAMILY
            || bytes.len() < SHORT_PREAMBLE
            || u32::from(bytes[6]) != M
            || !matches!(ints, 2 | 5)
        {
            return None;
        }
        let mut sketch = Self::new(k);
        if flags & EMPTY != 0 {
            return Some(sketch);
        }
        if flags & SINGLE_ITEM != 0 {
            sketch.update(T::read(bytes.get(SHORT_PREAMBLE..SHORT_PREAMBLE + T::BYTES)?)?);
            return Some(sketch);
        }
        sketch.is_level_zero_sorted = flags & LEVEL_ZERO_SORTED != 0;
        sketch.n = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
        sketch.min_k = u16::from_le_bytes(bytes.get(16..18)?.try_into().ok()?);
        let levels = usize::from(*bytes.get(18)?);
        if levels == 0 || levels > 60 {
            return None;
        }
        sketch.levels = vec![Vec::new(); levels];
        let begin = |level: usize| -> Option<usize> {
            if level == levels {
                return Some(sketch.capacity());
            }
            let at = FULL_PREAMBLE + 4 * level;
            Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
        };
        let begins = (0..=levels).map(begin).collect::<Option<Vec<_>>>()?;
        let mut items = bytes.get(FULL_PREAMBLE + 4 * levels..)?.chunks_exact(T::BYTES).map(T::read);
        sketch.range = Some((items.next()??, items.next()??));
        for level in 0..levels {
            let count = begins[level + 1].checked_sub(begins[level])?;
            for _ in 0..count {
                sketch.levels[level].push(items.next()??);
            }
        }
        Some(sketch)
    }

    /// The summary that the library prints.
    pub fn summary(&self) -> String {
        let k = f64::from(self.min_k);
        let epsilon = 2.296 / k.powf(0.9723) * 100.0;
        let epsilon_pmf = 2.446 / k.powf(0.9433) * 100.0;
        let (capacity, retained) = (self.capacity(), self.retained());
        let updatable = FULL_PREAMBLE + 4 * (self.levels.len() + 1) + (capacity + 2) * T::BYTES;
        let compact = match self.n {
            0 => SHORT_PREAMBLE,
            1 => SHORT_PREAMBLE + T::BYTES,
            _ => FULL_PREAMBLE + 4 * self.levels.len() + (retained + 2) * T::BYTES,
        };
        let shown = |item: Option<T>| item.map_or("NaN".to_string(), T::show);
        let lines: [(&str, String); 17] = [
            ("K", self.k.to_string()),
            ("Dynamic min K", self.min_k.to_string()),
            ("M", M.to_string()),
            ("N", self.n.to_string()),
            ("Epsilon", format!("{epsilon:.3}%")),
            ("Epsilon PMF", format!("{epsilon_pmf:.3}%")),
            ("Empty", (self.n == 0).to_string()),
            ("Estimation Mode", (self.levels.len() > 1).to_string()),
            ("Levels", self.levels.len().to_string()),
            ("Level 0 Sorted", self.is_level_zero_sorted.to_string()),
            ("Capacity Items", capacity.to_string()),
            ("Retained Items", retained.to_string()),
            ("Free Space", (capacity - retained).to_string()),
            ("ReadOnly", "false".to_string()),
            ("Updatable Storage Bytes", updatable.to_string()),
            ("Compact Storage Bytes", compact.to_string()),
            ("Min Item", shown(self.range.map(|r| r.0))),
        ];
        let mut out = format!("\n### Kll{} Summary:\n", T::SKETCH);
        for (name, value) in &lines {
            out.push_str(&format!("   {name:<23}: {value}\n"));
        }
        out.push_str(&format!(
            "   {:<23}: {}\n### End sketch summary\n",
            "Max Item",
            shown(self.range.map(|r| r.1))
        ));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_library() {
        let mut sketch = Kll::<i64>::new(200);
        assert_eq!(sketch.to_bytes(), [2, 1, 15, 1, 200, 0, 8, 0]);
        sketch.update(0);
        assert_eq!(sketch.to_bytes(), [2, 2, 15, 4, 200, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        sketch.update(1);
        sketch.update(2);
        let bytes = sketch.to_bytes();
        assert_eq!(
            bytes[..24],
            [5, 1, 15, 0, 200, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 200, 0, 1, 0, 197, 0, 0, 0]
        );
        let again = Kll::<i64>::from_bytes(&bytes).unwrap();
        assert_eq!((again.n, again.range, again.levels), (3, Some((0, 2)), sketch.levels));
    }

    #[test]
    fn what_is_no_sketch_is_none() {
        assert!(Kll::<i64>::from_bytes(b"").is_none());
        assert!(Kll::<i64>::from_bytes(b"abc").is_none());
        assert!(Kll::<f64>::from_bytes(&[5, 1, 15, 0, 200, 0, 8, 0, 3]).is_none());
    }
}
