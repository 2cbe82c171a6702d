//! Where `tests/setup` has put the real servers and the foreign clients.

use std::path::{Path, PathBuf};

pub(crate) use super::scratch::folder as scratch_folder;

/// The folder `tests/setup` fills.
fn folder() -> PathBuf {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"),
    };
    cache.join("roomlog/tools")
}

/// A tool's path; its absence is a failure that names the remedy.
pub(crate) fn path(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.exists(),
        "{} is missing: run `tests/setup test`, or `make test`, which does",
        path.display()
    );
    path
}

/// A file of the repository.
pub(crate) fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// An installed program.
pub(crate) fn on_path(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").expect("PATH is set");
    let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join(program));
    candidates
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is not installed; `tests/setup test` brings it"))
}
