//! The page of figures, docs/benchmarks.md: each bench writes a section of its own and leaves the others' as they are.
//!
//! Only `-- --write` writes it. `load` writes what is outside of all sections too.

#![allow(dead_code, reason = "each bench uses its part")]
#![allow(clippy::unwrap_used, reason = "a tool, not a service")]

pub(crate) mod message;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use criterion::Criterion;
use serde_json::Value;

/// The page, from the repository's root, where cargo runs benches.
const PAGE: &str = "docs/benchmarks.md";
/// Asks for the figures to be written.
const WRITE: &str = "--write";

/// Which benchmark is which row of a section's table.
pub(crate) struct Row {
    /// Its group, and its name in it.
    pub(crate) benchmark: (&'static str, &'static str),
    /// What is measured, for who reads only the page.
    pub(crate) what: &'static str,
}

// === impl Row ===

impl Row {
    /// The row of a group's benchmark of this name.
    pub(crate) const fn of(group: &'static str, name: &'static str, what: &'static str) -> Self {
        Self {
            benchmark: (group, name),
            what,
        }
    }
}

/// Where a bench's section begins and ends.
fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- {name}: written by `cargo bench --bench {name} -- --write` -->\n"),
        format!("<!-- end of {name} -->\n"),
    )
}

// === sections ===

/// Puts a bench's section in the place of its last one, or at the page's end.
pub(crate) fn put(page: &str, name: &str, body: &str) -> String {
    let (begin, end) = marks(name);
    let section = format!("{begin}{body}{end}");
    match found(page, name) {
        Some(place) => [&page[..place.start], section.as_str(), &page[place.end..]].concat(),
        None if page.is_empty() => section,
        None => format!("{}\n\n{section}", page.trim_end()),
    }
}

/// The sections of these benches as they stand on the page.
pub(crate) fn kept(page: &str, names: &[&str]) -> String {
    let sections = names.iter().filter_map(|name| found(page, name));
    sections
        .map(|place| format!("\n{}", &page[place]))
        .collect()
}

fn found(page: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let (begin, end) = marks(name);
    let start = page.find(&begin)?;
    let length = page[start..].find(&end)? + end.len();
    Some(start..start + length)
}

/// The page as it is; empty where there is none yet.
pub(crate) fn page() -> String {
    fs::read_to_string(PAGE).unwrap_or_default()
}

pub(crate) fn write(page: &str) {
    fs::write(PAGE, page).unwrap();
}

/// What was measured and when, as each section says it.
pub(crate) fn measured_on() -> String {
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d");
    format!("Commit {}, {today}, release build", commit())
}

/// The commit measured; `-dirty` where more was changed since than the documents, into which one bench writes after the
/// other.
fn commit() -> String {
    let changed = git(&[
        "diff",
        "HEAD",
        "--name-only",
        "--",
        ":/",
        ":(top,exclude)docs",
    ]);
    let commit = git(&["describe", "--always"]);
    match changed.is_empty() {
        true => commit,
        false => format!("{commit}-dirty"),
    }
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

// === criterion ===

/// Runs a bench as criterion's own main does; asked to write, also puts its medians on the page.
pub(crate) fn run(name: &'static str, benches: &[fn(&mut Criterion)], preface: &str, rows: &[Row]) {
    let is_writing = std::env::args().any(|argument| argument == WRITE);
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("figures-{name}"));
    // Criterion refuses arguments that are not its own.
    let mut criterion = match is_writing {
        true => Criterion::default().output_directory(&results),
        false => Criterion::default().configure_from_args(),
    };
    for bench in benches {
        bench(&mut criterion);
    }
    criterion.final_summary();
    if is_writing {
        let table = table(&measured(&results), rows);
        let body = format!("{preface}\n{}.\n\n{table}", measured_on());
        write(&put(&page(), name, &body));
    }
}

/// Every benchmark's group, name and median time in nanoseconds, as criterion left them.
fn measured(results: &Path) -> Vec<(String, String, f64)> {
    let mut folders: Vec<PathBuf> = vec![results.to_owned()];
    let mut measured = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        folders.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
        if folder.ends_with("new") {
            let read = |file: &str| -> Value {
                serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
            };
            let (benchmark, estimates) = (read("benchmark.json"), read("estimates.json"));
            let text = |field: &str| benchmark[field].as_str().unwrap_or_default().to_owned();
            let median_ns = estimates["median"]["point_estimate"].as_f64().unwrap();
            measured.push((text("group_id"), text("function_id"), median_ns));
        }
    }
    measured
}

fn table(measured: &[(String, String, f64)], rows: &[Row]) -> String {
    let mut table = "| | ns |\n|---|---|\n".to_owned();
    for row in rows {
        let (group, function) = row.benchmark;
        let is_it = |found: &&(String, String, f64)| found.0 == group && found.1 == function;
        let found = measured.iter().find(is_it);
        let (_, _, median_ns) = found.unwrap_or_else(|| panic!("no figure of {group}/{function}"));
        // Writing to a String does not fail.
        let _ = writeln!(table, "| {} | {median_ns:.0} |", row.what);
    }
    table
}
