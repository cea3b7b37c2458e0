//! The sketch itself. Few values are kept as coupons (an address of 26 bits and a count of leading zeros), many as one
//! register an address.

use crate::sketch::data_sketch_hash::{SEED, hash_bytes, hash_long};

const ADDRESS_BITS: u32 = 26;
const ADDRESS_MASK: u32 = (1 << ADDRESS_BITS) - 1;
const LG_LIST: u8 = 3;
const LG_FIRST_SET: u8 = 5;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hll {
    pub(super) lg_k: u8,
    pub(super) mode: Mode,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mode {
    /// Up to eight coupons in the order they came.
    List(Vec<u32>),
    /// Coupons in a hash table of `2^lg` places, 0 where there is none.
    Set {
        lg: u8,
        table: Vec<u32>,
        count: usize,
    },
    Registers(Registers),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Registers {
    pub values: Vec<u8>,
    /// The estimate by history (HIP), which holds for values that came one by one.
    pub hip: f64,
    /// The sums of `2^-v` over registers below 32 and over the others.
    pub kxq: (f64, f64),
    /// The sketch was united with another: the history is lost.
    pub is_out_of_order: bool,
}

impl Hll {
    pub fn new(lg_k: u8) -> Self {
        Self { lg_k, mode: Mode::List(Vec::new()) }
    }

    pub fn update_long(&mut self, value: i64) {
        self.add(coupon(hash_long(value, SEED)));
    }

    /// Nothing is added for no bytes, as in the library.
    pub fn update_bytes(&mut self, value: &[u8]) {
        if !value.is_empty() {
            self.add(coupon(hash_bytes(value, SEED)));
        }
    }

    pub fn add(&mut self, coupon: u32) {
        match &mut self.mode {
            Mode::List(coupons) => {
                if coupons.contains(&coupon) {
                    return;
                }
                coupons.push(coupon);
                if coupons.len() >= 1 << LG_LIST {
                    self.grow_list();
                }
            }
            Mode::Set { lg, table, count } => {
                if !insert(table, *lg, coupon) {
                    return;
                }
                *count += 1;
                if 4 * *count > 3 << *lg {
                    self.grow_set();
                }
            }
            Mode::Registers(registers) => registers.add(coupon, self.lg_k),
        }
    }

    fn grow_list(&mut self) {
        let coupons = self.coupons();
        if self.lg_k < 8 {
            self.mode = Mode::Registers(registers_of(&coupons, self.lg_k));
            return;
        }
        let mut table = vec![0; 1 << LG_FIRST_SET];
        coupons.iter().for_each(|c| {
            insert(&mut table, LG_FIRST_SET, *c);
        });
        self.mode = Mode::Set { lg: LG_FIRST_SET, table, count: coupons.len() };
    }

    fn grow_set(&mut self) {
        let coupons = self.coupons();
        let Mode::Set { lg, table, .. } = &mut self.mode else { return };
        if *lg + 3 == self.lg_k {
            self.mode = Mode::Registers(registers_of(&coupons, self.lg_k));
            return;
        }
        *lg += 1;
        *table = vec![0; 1 << *lg];
        coupons.iter().for_each(|c| {
            insert(table, *lg, *c);
        });
    }

    /// The coupons of a small sketch, in the order of their places.
    pub(super) fn coupons(&self) -> Vec<u32> {
        match &self.mode {
            Mode::List(coupons) => coupons.clone(),
            Mode::Set { table, .. } => table.iter().copied().filter(|c| *c != 0).collect(),
            Mode::Registers(_) => Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(&self.mode, Mode::List(coupons) if coupons.is_empty())
    }

    /// Whether values are kept as coupons.
    pub fn is_small(&self) -> bool {
        !matches!(self.mode, Mode::Registers(_))
    }

    pub fn heap_bytes(&self) -> usize {
        match &self.mode {
            Mode::List(coupons) => coupons.capacity() * 4,
            Mode::Set { table, .. } => table.capacity() * 4,
            Mode::Registers(r) => r.values.capacity(),
        }
    }

    /// The union of two. A union is as exact as its coarser part.
    pub fn unite(&mut self, other: &Self) {
        let Mode::Registers(theirs) = &other.mode else {
            other.coupons().into_iter().for_each(|c| self.add(c));
            return;
        };
        let lg_k = self.lg_k.min(other.lg_k);
        let mut whole = coarser(theirs, other.lg_k, lg_k);
        match &self.mode {
            Mode::Registers(ours) => {
                let ours = coarser(ours, self.lg_k, lg_k);
                whole = united(&whole.values, &ours.values);
            }
            _ => self.coupons().into_iter().for_each(|c| whole.add(c, lg_k)),
        }
        *self = Self { lg_k, mode: Mode::Registers(whole) };
    }
}

impl Registers {
    pub fn new(lg_k: u8) -> Self {
        let k = 1usize << lg_k;
        Self { values: vec![0; k], hip: 0.0, kxq: (k as f64, 0.0), is_out_of_order: false }
    }

    pub fn add(&mut self, coupon: u32, lg_k: u8) {
        let slot = (coupon & ADDRESS_MASK & ((1 << lg_k) - 1)) as usize;
        let new = (coupon >> ADDRESS_BITS) as u8;
        let old = self.values[slot];
        if new <= old {
            return;
        }
        self.hip += self.values.len() as f64 / (self.kxq.0 + self.kxq.1);
        let change = |sum: &mut (f64, f64), v: u8, sign: f64| {
            let part = sign * 0.5f64.powi(i32::from(v));
            if v < 32 { sum.0 += part } else { sum.1 += part }
        };
        change(&mut self.kxq, old, -1.0);
        change(&mut self.kxq, new, 1.0);
        self.values[slot] = new;
    }
}

fn registers_of(coupons: &[u32], lg_k: u8) -> Registers {
    let mut registers = Registers::new(lg_k);
    coupons.iter().for_each(|c| registers.add(*c, lg_k));
    // What was counted by coupons was counted better.
    registers.hip = super::estimate::of_coupons(coupons.len());
    registers
}

/// Registers without their history.
fn united(a: &[u8], b: &[u8]) -> Registers {
    let values: Vec<u8> = a.iter().zip(b).map(|(a, b)| *a.max(b)).collect();
    let mut kxq = (0.0, 0.0);
    for v in &values {
        let part = 0.5f64.powi(i32::from(*v));
        if *v < 32 { kxq.0 += part } else { kxq.1 += part }
    }
    Registers { values, hip: 0.0, kxq, is_out_of_order: true }
}

/// The registers of a smaller sketch of the same values.
fn coarser(registers: &Registers, lg_from: u8, lg_to: u8) -> Registers {
    if lg_from == lg_to {
        return registers.clone();
    }
    let mask = (1usize << lg_to) - 1;
    let mut values = vec![0u8; 1 << lg_to];
    for (i, v) in registers.values.iter().enumerate() {
        values[i & mask] = values[i & mask].max(*v);
    }
    united(&values, &values)
}

fn coupon((first, second): (u64, u64)) -> u32 {
    let zeros = second.leading_zeros().min(62) + 1;
    zeros << ADDRESS_BITS | (first as u32 & ADDRESS_MASK)
}

/// Puts a coupon in its place; false where it is there already.
pub(super) fn insert(table: &mut [u32], lg: u8, coupon: u32) -> bool {
    let mask = table.len() - 1;
    let stride = ((coupon & ADDRESS_MASK) >> lg) as usize | 1;
    let mut at = coupon as usize & mask;
    loop {
        match table[at] {
            0 => {
                table[at] = coupon;
                return true;
            }
            found if found == coupon => return false,
            _ => at = (at + stride) & mask,
        }
    }
}
