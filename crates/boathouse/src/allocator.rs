//! mimalloc, and how it keeps memory that is free.
//!
//! Queries take and free the same hundreds of megabytes again and again. By default mimalloc gives them back to the system after
//! a second, in pages of 4 KiB that the system has to clear before it gives them anew: a tenth of the CPU time of TPC-DS. With
//! huge pages, and ten seconds until memory is given back, heavy queries take 4 to 6 % less of it, and memory at rest stays the same
//! (`docs/performance.md`).

use std::ffi::OsStr;
use std::process::Command;

/// Planning and hash tables allocate a lot, on many threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Milliseconds until free memory is given back; 2: huge pages are asked for.
const SETTINGS: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "10000"), ("MIMALLOC_ALLOW_THP", "2")];

/// mimalloc reads its settings from the environment at the first allocation, which is before `main`: the program begins again
/// with them, as the same process, where they are not there yet. What a user sets stays.
#[cfg(target_os = "linux")]
pub fn begin_with_settings() {
    use std::os::unix::process::CommandExt;

    let missing: Vec<_> = SETTINGS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if let Ok(program) = std::env::current_exe() {
        // It comes back only where it could not: then the program runs as it is.
        let _ = Command::new(program)
            .arg0(name.as_deref().unwrap_or(OsStr::new("boathouse")))
            .args(arguments)
            .envs(missing)
            .exec();
    }
}

#[cfg(not(target_os = "linux"))]
pub fn begin_with_settings() {}
