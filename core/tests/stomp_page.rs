//! `docs/stomp.md` against the tests it names: no requirement is missing, and each test named for one says so itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// How many requirements there are.
const REQUIREMENTS: usize = 118;

type TestsByRequirement = BTreeMap<usize, BTreeSet<String>>;

#[test]
fn the_page_names_exactly_the_tests_that_name_its_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/stomp.md")).expect("the page");
    let claimed = claimed(&page);
    let numbers: Vec<usize> = claimed.keys().copied().collect();
    assert_eq!(numbers, Vec::from_iter(1..=REQUIREMENTS));

    let mut tagged: TestsByRequirement = numbers.iter().map(|n| (*n, BTreeSet::new())).collect();
    for folder in ["src/stomp", "src/session"] {
        collect_tags(&root.join(folder), &mut tagged);
    }
    assert_eq!(claimed, tagged);
}

/// The tests each row of the page names.
fn claimed(page: &str) -> TestsByRequirement {
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
        let number = cells.first()?.parse().ok()?;
        let names = cells[cells.len() - 2].split('`').skip(1).step_by(2);
        Some((number, names.map(str::to_owned).collect()))
    });
    rows.collect()
}

/// The tests below a folder, by the numbers in the comment above each.
fn collect_tags(folder: &Path, tests: &mut TestsByRequirement) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_tags(&path, tests);
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        let mut numbers: Vec<usize> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(tag) = line.strip_prefix("// req: ") {
                let parsed = tag
                    .split(", ")
                    .map(|n| n.parse::<usize>().expect("a number"));
                numbers.extend(parsed);
            } else if let Some(rest) = line.strip_prefix("fn ") {
                let name = rest.split('(').next().expect("a name");
                for number in numbers.drain(..) {
                    let named = tests.get_mut(&number).expect("a known requirement");
                    named.insert(name.to_owned());
                }
            }
        }
    }
}
