//! `boathouse`: the command line, and the wiring of the crates behind it. Nothing else lives here.
//!
//! `arguments.rs` says what can be typed; each command has a file. `target.rs` is where SQL runs: an engine in this
//! process or a server. Python gets a server of its own on a free port, unless the command names one.

mod allocator;
mod arguments;
mod demo;
mod embedded;
mod exit;
mod home;
mod logs;
mod pipeline;
mod prompt;
mod python;
mod render;
mod run;
mod server;
mod sql;
mod target;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    allocator::begin_with_settings();
    boathouse_spec::fault::arm_from_environment();
    let result = match &arguments.command {
        Command::Server(a) => server::run(&arguments, a),
        Command::Sql(a) => sql::run(&arguments, a),
        Command::Demo(a) => demo::run(&arguments, a),
        Command::Run(a) => run::run(&arguments, a),
        Command::Pipeline(c) => pipeline::run(&arguments, c),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
