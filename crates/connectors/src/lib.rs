pub mod paths; pub mod stores; pub mod listing; pub mod partitions; mod errors;
