//! How a command ends: 0 success, 1 the user's code or data failed, 2 bad usage.

use std::process::ExitCode;

use boathouse_spec::Error;

/// What went wrong, and whose turn it is.
pub enum Failure {
    /// The user's code or data; the message is shown.
    Failed(String),
    /// The command was called wrongly.
    Usage(String),
    /// What failed has said so itself; only the code is passed on.
    Code(u8),
}

impl Failure {
    pub fn report(self) -> ExitCode {
        match self {
            Self::Failed(message) => {
                eprintln!("{message}");
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
            Self::Code(code) => ExitCode::from(code),
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Failed(e.to_string())
    }
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;
