//! A disk that can be full.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Far more than a node writes in any test, little enough to be filled in a moment. It is memory, taken as it is used.
const SIZE: &str = "size=384m";
/// Written at once, and at last byte by byte, until nothing more fits.
const CHUNK_BYTES: usize = 1 << 20;
const BALLAST: &str = "ballast";

/// A file system of its own. Dropped, it is gone with what is on it.
pub(crate) struct Disk {
    folder: PathBuf,
}

// === impl Disk ===

impl Disk {
    /// A new one in this folder; `None` where this process may not mount any.
    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder of this run");
        let mounted = quietly(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
                .arg(folder),
        );
        let folder = folder.to_owned();
        mounted.then_some(Self { folder })
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.folder.join(BALLAST)).expect("a new file");
        let chunk = vec![0; CHUNK_BYTES];
        while ballast.write_all(&chunk).is_ok() {}
        while ballast.write_all(&chunk[..1]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.folder.join(BALLAST)).expect("the ballast");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, as the process that uses it may be ending at this very moment.
        quietly(Command::new("umount").arg("-l").arg(&self.folder));
    }
}

/// No file of this process may grow any more: the nearest thing to a full disk that needs no right to mount.
pub(crate) fn forbid_growth(process: u32) {
    let mut limit = Command::new("prlimit");
    limit.args(["--pid", &process.to_string(), "--fsize=1:unlimited"]);
    assert!(quietly(&mut limit), "prlimit is there: {limit:?}");
}

fn quietly(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
