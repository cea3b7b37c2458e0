//! `python`: functions of the user, run in worker processes.
//!
//! Owns: finding an interpreter ([`interpreter`]), the processes ([`Workers`]), and the protocol of PySpark's own worker
//! (`pyspark.worker` of the client's package), which runs pickled, pandas and Arrow functions ([`Task`], [`Run`]).
//!
//! Must not touch: plans, sessions, the catalog. Rows come and go as Arrow batches; what they mean is the engine's business.
//!
//! Start with `task.rs` (what a worker is asked to do) and `run.rs` (rows in, rows out).

mod ask;
mod dialogue;
mod interpreter;
mod messages;
mod pickle;
mod pool;
mod run;
mod stateful;
mod task;

pub use ask::{Answer, Question};
pub use dialogue::Dialogue;
pub use interpreter::{interpreter, modules};
pub use messages::python_error;
pub use pickle::{Plain, pickle};
pub use pool::{Options, Workers};
pub use run::{Input, Run};
pub use stateful::{Conversation, Said};
pub use task::{Body, CONF_KEYS, EvalType, Function, Task};
