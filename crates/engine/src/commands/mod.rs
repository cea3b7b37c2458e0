//! Commands, a file each.
