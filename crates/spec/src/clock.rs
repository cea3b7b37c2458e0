//! The one seam for time: everything that asks for the time asks here, so that a test can set it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch when a test has set the clock; `i64::MIN` otherwise.
static FIXED_US: AtomicI64 = AtomicI64::new(i64::MIN);

/// Microseconds since the epoch.
#[allow(clippy::disallowed_methods)]
pub fn now_us() -> i64 {
    match FIXED_US.load(Ordering::Relaxed) {
        i64::MIN => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64),
        fixed => fixed,
    }
}

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    now_us() / 1000
}

/// Sets the clock (`Some`) or lets it run again (`None`). For tests.
pub fn set_us(value: Option<i64>) {
    FIXED_US.store(value.unwrap_or(i64::MIN), Ordering::Relaxed);
}
