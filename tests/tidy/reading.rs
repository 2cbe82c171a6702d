//! How the checks of the repository read it: its files, and what stands in sources, manifests and documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rows of the page of guarantees that promise something: all before the tables of what was measured.
pub(crate) fn promises(page: &str) -> impl Iterator<Item = &str> {
    let before = page.split("<!-- faults:").next().unwrap_or_default();
    before.lines().filter(|line| {
        line.starts_with("| ")
            && !line.contains("| proved by |")
            && !line.contains("| noticed by |")
    })
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path as the repository sees it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string()
}

pub(crate) fn sources() -> Vec<PathBuf> {
    files_ending("rs")
}

pub(crate) fn documents() -> Vec<PathBuf> {
    files_ending("md")
}

/// Every file of ours with this ending, whatever it is called.
fn files_ending(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .expect("a folder of the repository")
            .flatten()
        {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let foreign = name.starts_with('.') || name == "target" || name == "node_modules";
            if path.is_dir() && !foreign {
                folders.push(path);
            } else if path.extension().is_some_and(|other| other == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(
        !found.is_empty(),
        "no .{ending} files: looked in the wrong place"
    );
    found
}

/// The names of the tests in a source: functions right below an attribute that ends in `test]`.
pub(crate) fn tests_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let after = line.strip_prefix("async ").unwrap_or(line);
        if let (true, Some(rest)) = (is_test, after.strip_prefix("fn ")) {
            names.extend(rest.split('(').next().map(str::to_owned));
        }
        is_test =
            line.starts_with("#[") && (line.contains("test]") || line.contains("test(") || is_test);
    }
    names
}

/// The tests of a source by the numbers in the comment right above each, as in `// req: 2, 4`.
pub(crate) fn tests_by_requirement(text: &str) -> Vec<(usize, String)> {
    let (tests, mut numbers, mut named) = (tests_in(text), Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        let after = line.strip_prefix("async ").unwrap_or(line);
        if let Some(tag) = line.strip_prefix("// req: ") {
            let parsed = tag.split(", ").map(|number| number.parse::<usize>());
            numbers.extend(parsed.map(|number| number.expect("a number")));
        } else if let Some(rest) = after.strip_prefix("fn ") {
            let name = rest.split('(').next().expect("a name").to_owned();
            assert!(
                numbers.is_empty() || tests.contains(&name),
                "{name} is no test"
            );
            named.extend(numbers.drain(..).map(|number| (number, name.clone())));
        }
    }
    named
}

/// What stands between backticks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The lines of one section of a manifest.
pub(crate) fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let header = format!("[{name}]");
    manifest
        .lines()
        .skip_while(move |line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

/// The names at the beginnings of a section's lines.
pub(crate) fn names<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    lines
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.split(['.', '=', ' ']).next().expect("a first word"))
}

/// What a crate is built from; what only its tests use may point anywhere.
pub(crate) fn dependencies(manifest: &str) -> Vec<&str> {
    let sections = ["dependencies", "build-dependencies"];
    sections
        .iter()
        .flat_map(|name| names(section(manifest, name)))
        .collect()
}

/// A version's numbers, from the largest on.
pub(crate) fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['+', '-']).next().unwrap_or_default();
    plain
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .collect()
}

/// The targets of a document's links that are files of ours.
pub(crate) fn links(text: &str) -> Vec<&str> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// The words of capitals, digits and underscores that begin so.
pub(crate) fn words_with(text: &str, start: &str) -> impl Iterator<Item = String> {
    let is_part = |character: char| {
        character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
    };
    let words = text.split(move |character| !is_part(character));
    words
        .filter(|word| word.starts_with(start))
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}
