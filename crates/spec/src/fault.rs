//! Fault points: before and after each durable step a test can make the program fail, panic or die. Debug builds only;
//! elsewhere a point is nothing.
//!
//! A point has a name (`disk::before-link`). A test in the process arms one with [`arm`]; for a server, the variable
//! `BOATHOUSE_FAULT` says where it dies: `12` at the twelfth point it comes to, `disk::before-link` where it first comes
//! there, `disk::before-link 3` the third time. With `BOATHOUSE_FAULT_LOG` each point it comes to is a line in a file: its
//! name, and what it is about.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step is an error.
    Fail,
    Panic,
    /// The process ends there, without any clean-up.
    Die,
}

#[derive(Debug, Clone)]
struct Armed {
    /// Any point where `None`.
    point: Option<String>,
    /// The fault happens when this comes to 0.
    left: usize,
    fault: Fault,
}

struct State {
    armed: Option<Armed>,
    log: Option<String>,
}

static STATE: Mutex<State> = Mutex::new(State { armed: None, log: None });

/// Has `fault` happen once: the `hit`-th time (from 1) the program comes to `point`, or to any point.
pub fn arm(point: Option<&str>, hit: usize, fault: Fault) {
    let armed = Armed { point: point.map(str::to_string), left: hit, fault };
    STATE.lock().unwrap_or_else(PoisonError::into_inner).armed = Some(armed);
}

pub fn disarm() {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).armed = None;
}

/// Does what the environment says, in debug builds.
pub fn arm_from_environment() {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Ok(text) = std::env::var("BOATHOUSE_FAULT") {
        let (point, hit) = text.rsplit_once(' ').unwrap_or((&text, &text));
        match (hit.parse(), point == hit) {
            (Ok(hit), true) => arm(None, hit, Fault::Die),
            (Ok(hit), false) => arm(Some(point), hit, Fault::Die),
            (Err(_), _) => arm(Some(&text), 1, Fault::Die),
        }
    }
    STATE.lock().unwrap_or_else(PoisonError::into_inner).log = std::env::var("BOATHOUSE_FAULT_LOG").ok();
}

/// A point. An error where a test wants one.
#[inline]
pub fn point(name: &str) -> Result<()> {
    point_at(name, "")
}

/// The same at a file or the like.
#[inline]
pub fn point_at(name: &str, what: impl Display) -> Result<()> {
    if cfg!(debug_assertions) { come_to(name, &what) } else { Ok(()) }
}

/// A point among calls of the operating system.
#[inline]
pub fn io_point(name: &str) -> std::io::Result<()> {
    point(name).map_err(std::io::Error::other)
}

/// A point at a file, among calls of the operating system.
#[inline]
pub fn io_point_at(name: &str, file: &Path) -> std::io::Result<()> {
    point_at(name, file.display()).map_err(std::io::Error::other)
}

#[allow(clippy::panic)]
fn come_to(name: &str, what: &dyn Display) -> Result<()> {
    let fault = {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &state.log {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.and_then(|mut f| writeln!(f, "{name} {what}"))
                .map_err(|e| Error::io("writing the log of fault points", e))?;
        }
        let Some(armed) = state.armed.as_mut().filter(|a| a.point.as_deref().is_none_or(|p| p == name))
        else {
            return Ok(());
        };
        armed.left = armed.left.saturating_sub(1);
        if armed.left > 0 {
            return Ok(());
        }
        let fault = armed.fault;
        state.armed = None;
        fault
    };
    match fault {
        Fault::Fail => Err(Error::io("a fault point", name)),
        Fault::Panic => panic!("the fault point {name}"),
        Fault::Die => std::process::abort(),
    }
}
