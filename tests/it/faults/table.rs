//! What was measured: on the screen, and in the file asked for, from which `make faults` makes the tables of the docs.

use std::{fs::OpenOptions, io::Write as _};

/// Names the file that rows are added to, each behind the name of its table.
const ROWS_VARIABLE: &str = "ROOMLOG_FAULTS_ROWS";

/// Which table a row belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Faults,
    HandOvers,
    TakeOvers,
}

/// Adds a row.
pub(super) fn tell(table: Table, row: &str) {
    println!("{row}");
    if let Some(path) = std::env::var_os(ROWS_VARIABLE) {
        let name = match table {
            Table::Faults => "faults",
            Table::HandOvers => "hand-overs",
            Table::TakeOvers => "take-overs",
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{name} {row}"));
        written.expect("the file of rows can be written");
    }
}
