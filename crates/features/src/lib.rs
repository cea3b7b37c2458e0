//! No code: this crate fixes the features of shared dependencies (see its manifest), so that nothing is built twice.
