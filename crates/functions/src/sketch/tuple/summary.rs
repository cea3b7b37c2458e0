//! The numbers that entries carry, and how two become one (the library's `DoubleSummary` and `IntegerSummary`).

use std::fmt::Debug;

/// How numbers of one key become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Sum,
    Min,
    Max,
    AlwaysOne,
}

impl Mode {
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "sum" => Self::Sum,
            "min" => Self::Min,
            "max" => Self::Max,
            "alwaysone" => Self::AlwaysOne,
            _ => return None,
        })
    }

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn of_code(code: u8) -> Option<Self> {
        [Self::Sum, Self::Min, Self::Max, Self::AlwaysOne].into_iter().find(|mode| mode.code() == code)
    }
}

/// The functions on sketches with numbers of a type.
pub(super) struct Names {
    pub sketch_agg: &'static str,
    pub union_agg: &'static str,
    pub intersection_agg: &'static str,
    pub estimate: &'static str,
    pub theta: &'static str,
    pub summary: &'static str,
    pub union: &'static str,
    pub union_theta: &'static str,
    pub intersection: &'static str,
    pub intersection_theta: &'static str,
    pub difference: &'static str,
    pub difference_theta: &'static str,
}

macro_rules! names {
    ($suffix:literal) => {
        Names {
            sketch_agg: concat!("tuple_sketch_agg_", $suffix),
            union_agg: concat!("tuple_union_agg_", $suffix),
            intersection_agg: concat!("tuple_intersection_agg_", $suffix),
            estimate: concat!("tuple_sketch_estimate_", $suffix),
            theta: concat!("tuple_sketch_theta_", $suffix),
            summary: concat!("tuple_sketch_summary_", $suffix),
            union: concat!("tuple_union_", $suffix),
            union_theta: concat!("tuple_union_theta_", $suffix),
            intersection: concat!("tuple_intersection_", $suffix),
            intersection_theta: concat!("tuple_intersection_theta_", $suffix),
            difference: concat!("tuple_difference_", $suffix),
            difference_theta: concat!("tuple_difference_theta_", $suffix),
        }
    };
}

/// A type of numbers.
pub(super) trait Number: Debug + Clone + Copy + PartialEq + Send + Sync + 'static {
    const NAMES: Names;
    const BYTES: usize;

    /// The number that changes no other.
    fn start(mode: Mode) -> Self;
    fn combined(self, other: Self, mode: Mode) -> Self;
    fn write(self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Number for f64 {
    const NAMES: Names = names!("double");
    const BYTES: usize = 8;

    fn start(mode: Mode) -> Self {
        match mode {
            Mode::Sum => 0.0,
            Mode::Min => Self::INFINITY,
            Mode::Max => Self::NEG_INFINITY,
            Mode::AlwaysOne => 1.0,
        }
    }

    fn combined(self, other: Self, mode: Mode) -> Self {
        match mode {
            Mode::Sum => self + other,
            Mode::Min if other < self => other,
            Mode::Max if other > self => other,
            Mode::Min | Mode::Max => self,
            Mode::AlwaysOne => 1.0,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl Number for i32 {
    const NAMES: Names = names!("integer");
    const BYTES: usize = 4;

    fn start(mode: Mode) -> Self {
        match mode {
            Mode::Sum => 0,
            Mode::Min => Self::MAX,
            Mode::Max => Self::MIN,
            Mode::AlwaysOne => 1,
        }
    }

    fn combined(self, other: Self, mode: Mode) -> Self {
        match mode {
            Mode::Sum => self.wrapping_add(other),
            Mode::Min => self.min(other),
            Mode::Max => self.max(other),
            Mode::AlwaysOne => 1,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// A number, and the mode it was made in, which binary forms keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary<N> {
    pub value: N,
    pub mode: Mode,
}

impl<N: Number> Summary<N> {
    pub fn start(mode: Mode) -> Self {
        Self { value: N::start(mode), mode }
    }

    /// Two numbers under a mode.
    pub fn of_both(a: Self, b: Self, mode: Mode) -> Self {
        let value = N::start(mode).combined(a.value, mode).combined(b.value, mode);
        Self { value, mode }
    }
}
