//! `boathouse`: the command line, and the wiring of the crates behind it. Nothing else lives here.
//!
//! `arguments.rs` says what can be typed; each command has a file. `embedded.rs` starts the engine (and a server on a
//! free port where Python needs one) for commands that name no remote server.

mod arguments;
mod embedded;
mod exit;
mod home;
mod logs;
mod prompt;
mod python;
mod remote;
mod render;
mod run;
mod server;
mod sql;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Server(a) => server::run(&arguments, a),
        Command::Sql(a) => sql::run(&arguments, a),
        Command::Run(a) => run::run(&arguments, a),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
