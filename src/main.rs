//! packtrail, the program.

use std::process::ExitCode;

use clap::Parser as _;
use packtrail::cli::{Cli, run};

/// A third of the time of ingest went into the allocator of the C library, which the many short-lived
/// texts of records fragment.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.is_guard() {
        return packtrail::worker::guard::run();
    }
    // The TLS of outgoing requests; failing means that it is installed already.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => {
            eprintln!("packtrail: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
