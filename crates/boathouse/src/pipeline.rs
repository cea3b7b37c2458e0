//! `boathouse pipeline`: hands a pipeline to the Python loader, with a server for it.

use std::ffi::OsString;

use crate::arguments::{Arguments, PipelineCheckArguments, PipelineCommand};
use crate::exit::{Failure, Result};
use crate::python;
use crate::run::{wait, with_server};

pub fn run(arguments: &Arguments, command: &PipelineCommand) -> Result<()> {
    match command {
        PipelineCommand::Run(run) => {
            let mut options: Vec<OsString> = Vec::new();
            for (option, names) in [("--full-refresh", &run.full_refresh), ("--refresh", &run.refresh)] {
                if !names.is_empty() {
                    options.extend([option.into(), names.join(",").into()]);
                }
            }
            if run.full_refresh_all {
                options.push("--full-refresh-all".into());
            }
            load(arguments, "run", &run.pipeline, &options)
        }
        PipelineCommand::DryRun(check) => load(arguments, "dry-run", check, &[]),
        PipelineCommand::Validate(check) => load(arguments, "validate", check, &[]),
    }
}

fn load(
    arguments: &Arguments,
    command: &str,
    pipeline: &PipelineCheckArguments,
    options: &[OsString],
) -> Result<()> {
    if !pipeline.path.exists() {
        return Err(Failure::Usage(format!("there is no file or directory {}", pipeline.path.display())));
    }
    with_server(arguments, pipeline.remote.remote.as_deref(), |remote| {
        let mut python = python::command(remote, arguments)?;
        python.args(["-m", "boathouse_runtime.pipeline", command]).arg(&pipeline.path).args(options);
        wait(python, &pipeline.path)
    })
}
