//! `roomlog`: one binary, a role or a tool by its first argument.

mod cli;
mod exit;
mod role;
mod tools;

#[cfg(feature = "embedded")]
mod dev;

use std::process::ExitCode;

use clap::error::ErrorKind;

/// Message frames are small and short-lived on many threads, which the system's allocator serves badly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (command, settings) = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers, not errors.
            let _ = error.print();
            let answered = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return if answered {
                ExitCode::SUCCESS
            } else {
                exit::usage()
            };
        }
    };
    // One TLS provider for every client in the process; a second call would be refused.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(&error.into()),
    };
    let result = runtime.block_on(cli::dispatch(command, &settings));
    // A blocking call that hangs on a dead server must not keep a stopped process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(&error),
    }
}
