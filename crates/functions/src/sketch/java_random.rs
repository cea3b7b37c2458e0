//! The generator of `java.util.Random`: results that depend on it are the same as Spark's.

#[derive(Debug, Clone)]
pub struct JavaRandom(u64);

const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    pub fn new(seed: i64) -> Self {
        Self((seed as u64 ^ 0x5_DEEC_E66D) & MASK)
    }

    fn bits(&mut self, bits: u32) -> i32 {
        self.0 = self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & MASK;
        (self.0 >> (48 - bits)) as i32
    }

    pub fn long(&mut self) -> i64 {
        let high = i64::from(self.bits(32)) << 32;
        high.wrapping_add(i64::from(self.bits(32)))
    }

    /// From 0 to below 1.
    pub fn double(&mut self) -> f64 {
        let high = i64::from(self.bits(26)) << 27;
        (high + i64::from(self.bits(27))) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `bound`.
    pub fn below(&mut self, bound: i32) -> i32 {
        let mut bits = self.bits(31);
        if bound & (bound - 1) == 0 {
            return ((i64::from(bound) * i64::from(bits)) >> 31) as i32;
        }
        loop {
            let value = bits % bound;
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
            bits = self.bits(31);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_javas() {
        // new java.util.Random(42).nextInt(10), twice; the second is a multiplier of Spark's count-min sketch.
        let mut random = JavaRandom::new(42);
        assert_eq!((random.below(10), random.below(10)), (0, 3));
        assert_eq!(JavaRandom::new(1).below(i32::MAX), 0x5D8D_6AB9);
    }
}
