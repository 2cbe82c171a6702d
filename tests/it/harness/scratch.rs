//! The folder of this test run, and the guarantee that nothing outlives the run.
//!
//! A small shell waits on a pipe that closes when this process ends, however it ends. It then kills every process group
//! that is still noted in the folder and removes the folder; after a failure it leaves the logs.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How many lines of each log a failure shows.
const LINES_SHOWN: usize = 25;

/// How long ago a log of interest was written to.
const RECENT: Duration = Duration::from_secs(60);

const UNDERTAKER: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for note in "$1"/group.*; do
    [ -e "$note" ] && kill -s KILL -- "-${note##*.}"
done
umount -l "$1"/*/log 2>/dev/null
if [ -e "$1/keep" ]; then
    find "$1" -type f ! -name '*.log' -delete
    find "$1" -type d -empty -delete
else
    rm -rf "$1"
fi
"#;

struct Run {
    folder: PathBuf,
    /// Its standard input is never written to; the end of that is this process's end.
    _undertaker: Child,
}

static RUN: LazyLock<Run> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for this run");
    let undertaker = Command::new("sh")
        .args(["-c", UNDERTAKER, "sh"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh starts");
    keep_logs_on_failure(folder.clone());
    Run {
        folder,
        _undertaker: undertaker,
    }
});

/// A new folder of this run.
pub(crate) fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = RUN.folder.join(format!("{number:02}-{name}"));
    fs::create_dir_all(&folder).expect("a folder of this run");
    folder
}

/// Notes a process group that must not outlive the run.
pub(crate) fn note_group(group: u32) {
    fs::write(RUN.folder.join(format!("group.{group}")), "").expect("a note in this run's folder");
}

/// The group has ended and its number may belong to others.
pub(crate) fn forget_group(group: u32) {
    // Gone already where the folder was cleared.
    let _ = fs::remove_file(RUN.folder.join(format!("group.{group}")));
}

fn keep_logs_on_failure(folder: PathBuf) {
    static FIRST: AtomicBool = AtomicBool::new(true);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if FIRST.swap(false, Ordering::Relaxed) {
            let _ = fs::write(folder.join("keep"), "");
            eprintln!("--- the logs are kept in {} ---", folder.display());
            show_ends(&folder);
            // Once more, as a build machine may keep no more than the end of all this.
            eprintln!("--- what failed ---\n{panic}");
        }
    }));
}

/// Prints how the latest logs of our own services end, as nobody can look at them later on a build machine.
fn show_ends(folder: &Path) {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let files =
        folders.flat_map(|entry| fs::read_dir(entry.path()).into_iter().flatten().flatten());
    let mut logs: Vec<PathBuf> = files
        .map(|file| file.path())
        .filter(|path| is_of_interest(path))
        .collect();
    logs.sort();
    for log in logs {
        let text = fs::read_to_string(&log).unwrap_or_default();
        eprintln!("--- {} ---\n{}", log.display(), end_of(&text));
    }
}

/// The last lines of a log.
pub(crate) fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

/// What was written to standard error a short while ago; other tests' services have ended before that.
fn is_of_interest(path: &Path) -> bool {
    let written = path
        .metadata()
        .and_then(|meta| Ok((meta.len() > 0, meta.modified()?)));
    let recent =
        written.is_ok_and(|(some, when)| some && when.elapsed().is_ok_and(|ago| ago < RECENT));
    recent && path.to_string_lossy().ends_with(".stderr.log")
}
