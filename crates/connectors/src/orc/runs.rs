//! Run-length encodings of ORC, version 1, which every reader knows.

/// The longest run, and the most values that stand as they are behind one header.
const LONGEST_RUN: usize = 130;
const MOST_LITERALS: usize = 128;
const SHORTEST_RUN: usize = 3;

/// Whole numbers: runs that grow by a fixed step, or numbers of variable length. Signed ones are zigzag encoded.
pub(crate) fn integers(values: &[i64], is_signed: bool) -> Vec<u8> {
    let put = |out: &mut Vec<u8>, value: i64| match is_signed {
        true => varint(out, zigzag(i128::from(value))),
        false => varint(out, u128::from(value as u64)),
    };
    let mut out = Vec::new();
    let literals = |out: &mut Vec<u8>, values: &[i64]| {
        for some in values.chunks(MOST_LITERALS) {
            out.push((some.len() as u8).wrapping_neg());
            some.iter().for_each(|v| put(out, *v));
        }
    };
    let (mut at, mut pending) = (0, 0);
    while at < values.len() {
        let (length, step) = run_of_integers(&values[at..]);
        if length < SHORTEST_RUN {
            at += 1;
            continue;
        }
        literals(&mut out, &values[pending..at]);
        out.push((length - SHORTEST_RUN) as u8);
        out.push(step as u8);
        put(&mut out, values[at]);
        at += length;
        pending = at;
    }
    literals(&mut out, &values[pending..]);
    out
}

/// How many values from the first on grow by the same step, and the step.
fn run_of_integers(values: &[i64]) -> (usize, i8) {
    let [first, second, ..] = values else { return (values.len(), 0) };
    let Some(step) = second.checked_sub(*first).and_then(|s| i8::try_from(s).ok()) else { return (1, 0) };
    let grows = |pair: &&[i64]| pair[0].checked_add(i64::from(step)) == Some(pair[1]);
    let length = 1 + values.windows(2).take(LONGEST_RUN - 1).take_while(grows).count();
    (length, step)
}

/// Bytes: runs of equal ones, or bytes as they are.
pub(crate) fn bytes(values: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let literals = |out: &mut Vec<u8>, values: &[u8]| {
        for some in values.chunks(MOST_LITERALS) {
            out.push((some.len() as u8).wrapping_neg());
            out.extend_from_slice(some);
        }
    };
    let (mut at, mut pending) = (0, 0);
    while at < values.len() {
        let length = values[at..].iter().take(LONGEST_RUN).take_while(|v| **v == values[at]).count();
        if length < SHORTEST_RUN {
            at += length;
            continue;
        }
        literals(&mut out, &values[pending..at]);
        out.push((length - SHORTEST_RUN) as u8);
        out.push(values[at]);
        at += length;
        pending = at;
    }
    literals(&mut out, &values[pending..]);
    out
}

/// Booleans: eight a byte, the first highest, and these as [`bytes`].
pub(crate) fn bits(values: &[bool]) -> Vec<u8> {
    let packed: Vec<u8> = values
        .chunks(8)
        .map(|some| some.iter().enumerate().fold(0, |byte, (i, bit)| byte | u8::from(*bit) << (7 - i)))
        .collect();
    bytes(&packed)
}

/// Seven bits a byte, the lowest first.
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn zigzag(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)) as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification.
    #[test]
    fn examples_of_the_specification() {
        assert_eq!(integers(&[7; 100], false), [0x61, 0x00, 0x07]);
        let down: Vec<i64> = (1..=100).rev().collect();
        assert_eq!(integers(&down, false), [0x61, 0xff, 0x64]);
        assert_eq!(integers(&[2, 3, 6, 7, 11], false), [0xfb, 0x02, 0x03, 0x06, 0x07, 0x0b]);
        assert_eq!(bytes(&[0; 100]), [0x61, 0x00]);
        assert_eq!(bytes(&[0x44, 0x45]), [0xfe, 0x44, 0x45]);
        assert_eq!(bits(&[true, false, false, false, false, false, false, false]), [0xff, 0x80]);
    }

    #[test]
    fn numbers_at_the_ends() {
        assert_eq!(integers(&[i64::MAX, i64::MIN], true).len(), 1 + 10 + 10);
        assert_eq!(integers(&[-1, 0, 1], true), [0x00, 0x01, 0x01]);
        let mut out = Vec::new();
        varint(&mut out, zigzag(i128::from(i64::MIN)));
        assert_eq!(out, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }
}
