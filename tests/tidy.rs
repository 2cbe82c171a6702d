//! The repository checks itself: who may depend on whom, what every file has, and that the documents say what is so.

#[path = "tidy/reading.rs"]
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use reading::{
    dependencies, documents, links, names, numbers, promises, quoted, read, repository, section,
    shown, sources, tests_by_requirement, tests_in, words_with,
};
use roomlog_core::code::Code;

/// What each crate of ours may depend on; the root may on all.
const MAY_DEPEND_ON: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("embedded", &[]),
    ("schemas", &["core"]),
    ("platform", &["core", "schemas"]),
    ("gateway", &["core", "schemas", "platform"]),
    ("persister", &["core", "schemas", "platform"]),
    ("fanout", &["core", "schemas", "platform"]),
];

/// What `core` may use of other people's: nothing that reads a clock, does I/O or draws at random.
const CORE_MAY_USE: [&str; 4] = ["bytes", "sha2", "smallvec", "thiserror"];

const LINES_MAX: usize = 600;
/// Files that may be longer, each with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// What no source may contain, beside the calls that `clippy.toml` and `core/clippy.toml` forbid. Each is spelled in two
/// halves, so that this list does not find itself.
const BANNED: [(&str, &str, &str); 5] = [
    ("#[ig", "nore", "a test that does not run proves nothing"),
    ("tod", "o!(", "what is not built is not offered"),
    ("unimpl", "emented!(", "what is not built is not offered"),
    ("unsafe", " {", "none is needed"),
    ("dbg", "!(", "left over from a search"),
];

/// Variables in documents that are no configuration keys.
const NO_KEYS: [&str; 3] = ["ROOMLOG_CONFIG", "ROOMLOG_TEST_", "ROOMLOG_SIM_"];

// === Dependencies ===

#[test]
fn dependencies_point_one_way() {
    for (member, allowed) in MAY_DEPEND_ON {
        let manifest = read(&repository().join(member).join("Cargo.toml"));
        for dependency in dependencies(&manifest) {
            let Some(ours) = dependency.strip_prefix("roomlog-") else {
                continue;
            };
            assert!(allowed.contains(&ours), "{member} may not depend on {ours}");
        }
    }
}

#[test]
fn every_member_has_its_place_in_the_order() {
    let manifest = read(&repository().join("Cargo.toml"));
    let line = manifest
        .lines()
        .find(|line| line.starts_with("members = "))
        .expect("a list of members");
    let members: BTreeSet<&str> = line.split('"').skip(1).step_by(2).collect();
    let placed: BTreeSet<&str> = MAY_DEPEND_ON.iter().map(|(member, _)| *member).collect();
    assert_eq!(members, placed);
}

#[test]
fn core_stays_pure() {
    let manifest = read(&repository().join("core/Cargo.toml"));
    let normal = section(&manifest, "dependencies");
    for dependency in names(normal) {
        assert!(
            CORE_MAY_USE.contains(&dependency),
            "core may not use {dependency}"
        );
    }
    // Whole modules, which `core/clippy.toml` can't name.
    let impure = ["std::net", "std::fs", "std::thread", "std::process"];
    for file in sources()
        .into_iter()
        .filter(|file| file.starts_with(repository().join("core/src")))
    {
        let text = read(&file);
        let product = text.split("#[cfg(test)]").next().expect("the text itself");
        for word in impure {
            assert!(
                !product.contains(word),
                "{}: core gets {word} as an argument or not at all",
                shown(&file)
            );
        }
    }
}

#[test]
fn nothing_is_locked_that_deny_toml_forbids() {
    let lock = read(&repository().join("Cargo.lock"));
    let value = |line: &str| line.split('"').nth(1).unwrap_or_default().to_owned();
    let mut locked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in lock.lines() {
        match line.split(" = ").next() {
            Some("name") => name = value(line),
            Some("version") => locked.entry(name.clone()).or_default().push(value(line)),
            Some("source") => assert!(
                value(line).ends_with("github.com/rust-lang/crates.io-index"),
                "{name} comes from {line}"
            ),
            _ => {}
        }
    }
    assert!(locked.contains_key("tokio"), "no packages were found");
    let policy = read(&repository().join("deny.toml"));
    let rows = policy.lines().filter(|line| line.contains("reason = "));
    let banned: Vec<String> = rows.map(value).collect();
    assert!(banned.len() > 5, "no bans were found");
    for ban in banned {
        let (name, below) = ban.split_once(":<").unwrap_or((&ban, "999999"));
        for version in locked.get(name).into_iter().flatten() {
            let is_old = numbers(version) < numbers(below);
            assert!(!is_old, "{name} {version} is locked: {ban} is forbidden");
        }
    }
}

// === Sources ===

#[test]
fn every_file_says_what_it_is_for() {
    for file in sources() {
        assert!(
            read(&file).starts_with("//!"),
            "{} does not begin with //!",
            shown(&file)
        );
    }
}

#[test]
fn files_stay_short() {
    for file in sources() {
        let lines = read(&file).lines().count();
        let listed = LONG_FILES.iter().any(|(name, _)| *name == shown(&file));
        assert!(
            lines <= LINES_MAX || listed,
            "{} has {lines} lines: split it, or list it with a reason",
            shown(&file)
        );
        assert!(
            lines > LINES_MAX || !listed,
            "{} is listed as long and is not",
            shown(&file)
        );
    }
}

#[test]
fn nothing_banned_is_used() {
    for file in sources() {
        let text = read(&file);
        for (first, second, reason) in BANNED {
            assert!(
                !text.contains(&[first, second].concat()),
                "{}: {first}{second} ({reason})",
                shown(&file)
            );
        }
    }
}

// === Documents ===

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let folder = document.parent().expect("a file is in a folder");
        for target in links(&read(&document)) {
            let path = target.split('#').next().expect("the part before an anchor");
            let found = path.is_empty() || folder.join(path).exists();
            assert!(found, "{}: nothing at {target}", shown(&document));
        }
    }
}

#[test]
fn the_table_of_codes_is_the_code() {
    let text = read(&repository().join("docs/clients.md"));
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let code = cells.next()?.trim().strip_suffix('`')?;
        let status: u16 = cells.next()?.trim().parse().ok()?;
        Some((code.to_owned(), status))
    });
    let documented: BTreeMap<String, u16> = rows.collect();
    let coded = Code::ALL
        .iter()
        .map(|code| (code.as_str().to_owned(), code.http_status()));
    assert_eq!(documented, coded.collect());
}

#[test]
fn every_guarantee_names_a_test_that_exists() {
    let tests: BTreeSet<String> = sources()
        .iter()
        .flat_map(|file| tests_in(&read(file)))
        .collect();
    let text = read(&repository().join("docs/guarantees.md"));
    let rows: Vec<&str> = promises(&text).collect();
    assert!(rows.len() > 15, "the promises are rows of tables");
    for row in rows {
        let proofs = row.trim_end_matches(" |").rsplit(" | ").next();
        let named: Vec<&str> = quoted(proofs.unwrap_or_default()).collect();
        assert!(!named.is_empty(), "a promise without a test: {row}");
        for test in named {
            assert!(tests.contains(test), "no test is called {test}: {row}");
        }
    }
}

#[test]
fn what_was_measured_is_no_promise() {
    let page = "| promise | proved by |\n|---|---|\n| It holds. | `a_test` |\n\n\
                <!-- faults: written -->\n| Fault | Lost |\n| SIGKILL of a gateway | 0 |\n<!-- end of faults -->\n";
    let rows: Vec<&str> = promises(page).collect();
    assert_eq!(rows, ["| It holds. | `a_test` |"]);
}

#[test]
fn what_has_to_be_seen_on_the_wire_names_exactly_the_tests_that_show_it() {
    let page = read(&repository().join("docs/stomp.md"));
    let mut claimed: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (Some(Ok(number)), Some(wire)) = (cells.first().map(|n| n.parse()), cells.last())
        else {
            continue;
        };
        let names: BTreeSet<String> = quoted(wire).map(str::to_owned).collect();
        let is_dotted = wire.contains('•');
        assert_eq!(is_dotted, !names.is_empty(), "a dot without a proof: {row}");
        if is_dotted {
            claimed.insert(number, names);
        }
    }
    let mut tagged: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let suites = sources()
        .into_iter()
        .filter(|file| file.starts_with(repository().join("tests/it")));
    for file in suites {
        for (number, test) in tests_by_requirement(&read(&file)) {
            tagged.entry(number).or_default().insert(test);
        }
    }
    assert!(claimed.len() > 48, "the requirements are rows of tables");
    assert_eq!(claimed, tagged);
}

#[test]
fn documented_keys_exist() {
    let template = roomlog_platform::config::template();
    let known: BTreeSet<String> = words_with(&template, "ROOMLOG_").collect();
    for document in documents() {
        for key in words_with(&read(&document), "ROOMLOG_") {
            let is_key = known.contains(&key)
                || NO_KEYS.iter().any(|other| key.starts_with(other))
                || key == "ROOMLOG_";
            assert!(
                is_key,
                "{}: {key} is no configuration key",
                shown(&document)
            );
        }
    }
}

#[test]
fn lock_files_name_no_download_address() {
    let lock = read(&repository().join("tests/peers/package-lock.json"));
    assert!(
        !lock.contains("\"resolved\""),
        "where packages come from is each machine's business"
    );
}
