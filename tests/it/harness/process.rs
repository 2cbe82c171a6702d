//! A child process in a group of its own, with its output kept: started, stopped, frozen, killed and started again.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{scratch, wait};

/// How to start a process, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What it is called in logs and failures.
    pub(crate) name: String,
    /// The executable.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its variables, beside `PATH` and `HOME`; nothing else of this process's environment reaches it.
    pub(crate) variables: Vec<(String, String)>,
    /// Where it runs and its logs go.
    pub(crate) folder: PathBuf,
}

/// A started [`Program`]. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    program: Program,
    child: Child,
    ended: Option<ExitStatus>,
    /// Length of the standard output's log before this start.
    output_before: u64,
}

/// What can be sent to a process group.
#[derive(Clone, Copy, Debug)]
enum Signal {
    Kill,
    Term,
    Stop,
    Cont,
}

// === impl Program ===

impl Program {
    pub(crate) fn start(self) -> Process {
        let output = self.open_log("stdout");
        let output_before = output.metadata().map_or(0, |meta| meta.len());
        let child = self.spawn(output);
        scratch::note_group(child.id());
        Process {
            program: self,
            child,
            ended: None,
            output_before,
        }
    }

    /// Runs it to its end and returns what it printed; a failure shows both of its outputs.
    pub(crate) async fn run(self, limit: Duration) -> String {
        let (status, output) = self.run_to_exit(limit).await;
        assert!(
            status == Some(0),
            "exit code {status:?}; it printed:\n{output}"
        );
        output
    }

    /// Runs it to its end; returns its exit code and what it printed on standard output.
    pub(crate) async fn run_to_exit(self, limit: Duration) -> (Option<i32>, String) {
        let errors = self.log("stderr");
        let mut process = self.start();
        let status = process.exited(limit).await;
        let output = process.output();
        if !status.success() {
            eprintln!(
                "{}:\n{}",
                process.program.name,
                fs::read_to_string(errors).unwrap_or_default()
            );
        }
        (status.code(), output)
    }

    /// Where its standard error goes.
    #[cfg(feature = "kafka-tls")]
    pub(crate) fn errors(&self) -> PathBuf {
        self.log("stderr")
    }

    fn spawn(&self, output: File) -> Child {
        let kept = ["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME"];
        let kept = kept
            .iter()
            .filter_map(|name| Some((*name, std::env::var_os(name)?)));
        Command::new(&self.path)
            .args(&self.arguments)
            .env_clear()
            .envs(kept)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(self.open_log("stderr"))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} ({}): {error}", self.name, self.path.display()))
    }

    fn log(&self, stream: &str) -> PathBuf {
        self.folder.join(format!("{}.{stream}.log", self.name))
    }

    fn open_log(&self, stream: &str) -> File {
        let path = self.log(stream);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

// === impl Process ===

impl Process {
    pub(crate) fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours");
            if self.ended.is_some() {
                scratch::forget_group(self.child.id());
            }
        }
        self.ended.is_none()
    }

    /// What it has printed on standard output since it was started.
    pub(crate) fn output(&self) -> String {
        let bytes = fs::read(self.program.log("stdout")).unwrap_or_default();
        let since = usize::try_from(self.output_before)
            .expect("a short log")
            .min(bytes.len());
        String::from_utf8_lossy(&bytes[since..]).into_owned()
    }

    /// What it has printed on standard error, since its first start.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.program.log("stderr")).unwrap_or_default()
    }

    /// Waits for a line of its standard output that begins with or contains `text`, and fails at once when it ends.
    pub(crate) async fn says(&mut self, text: &str, limit: Duration) -> String {
        let what = format!("{} to say {text:?}", self.program.name);
        wait::until(&what, limit, async || {
            let output = self.output();
            let complete = output
                .rsplit_once('\n')
                .map_or("", |(complete, _)| complete);
            if let Some(line) = complete.lines().find(|line| line.contains(text)) {
                return Some(line.to_owned());
            }
            assert!(
                self.is_running(),
                "{} ended with {:?} before it said {text:?}; its last lines:\n{}",
                self.program.name,
                self.ended,
                scratch::end_of(&output)
            );
            None
        })
        .await
    }

    /// Its process id, by which the kernel tells what it cost.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        resident_bytes(self.id())
    }

    /// SIGKILL: it ends without a word.
    pub(crate) fn kill(&mut self) {
        if self.is_running() {
            self.send(Signal::Kill);
            self.ended = self.child.wait().ok();
            scratch::forget_group(self.child.id());
        }
    }

    /// SIGTERM: it is asked to end.
    pub(crate) fn terminate(&mut self) {
        self.send(Signal::Term);
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    pub(crate) fn freeze(&mut self) {
        self.send(Signal::Stop);
    }

    /// SIGCONT: it goes on.
    pub(crate) fn thaw(&mut self) {
        self.send(Signal::Cont);
    }

    /// Waits for its end.
    pub(crate) async fn exited(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to end", self.program.name);
        wait::until(&what, limit, async || {
            self.is_running();
            self.ended
        })
        .await
    }

    /// Starts it anew, with the same arguments, variables and folder.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        *self = self.program.clone().start();
    }

    fn send(&mut self, signal: Signal) {
        if !self.is_running() {
            return;
        }
        let name = match signal {
            Signal::Kill => "KILL",
            Signal::Term => "TERM",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
        };
        // The shell's own `kill` is there where no such program is installed.
        let line = format!("kill -s {name} -- -{}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{line}");
    }
}

/// Resident memory of a process, in bytes, as the kernel counts it; zero when it is gone.
pub(crate) fn resident_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() << 10
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
