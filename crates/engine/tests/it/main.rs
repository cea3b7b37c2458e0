//! The engine from outside: SQL in, rows or errors out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod home;
mod script;

mod delta_tables;
mod describing;
mod queries;
mod session_state;
mod views_and_functions;
