//! The `throng` binary: hands the command line to the library.

use std::process::ExitCode;

use throng::cli::Cli;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::of_process().execute()
}
