//! Writes the section of docs/benchmarks.md that is of this command, and the plot beside it.

use std::{fmt::Write as _, fs};

use super::{
    Report, figures,
    plot::{self, Curve},
};

/// The plot, from the repository's root, where cargo runs benches.
const PLOT: &str = "docs/growth.svg";
/// The tables of which the page tells what a message writes there.
const TABLES: [&str; 4] = ["events", "members", "rooms", "partitions"];

/// What the figures mean, for who reads only the page.
const PREFACE: &str = "\
## A room that grows

What a message writes, and what it writes when everybody who is connected reads it at once, in rooms of ever more
members. Counted on real Kafka (one broker), DynamoDB Local and Redis; 20 messages a second.

- *items* are those DynamoDB was asked to write, however many share a request: the message in `events`, how far its sender
  has read in `members`, how far its room has come in `rooms`, how far its partition is stored in `partitions`.
- *changes of a list* are those that a member who is connected and does not look at the room is told of its badge.
- *read* means that everybody connected looks at the room, so that each of them has read each message.
- *positions a reader* are those stored while all messages were read; an item for each reader and message would be as many
  as there were messages.
- *Redis* counts commands that write, the leases of those who are connected among them.

![Items a message writes, by the size of its room](growth.svg)
";

/// Writes the section and the plot.
pub(super) fn write(reports: &[Report]) {
    let mut body = PREFACE.to_owned();
    // Writing to a String does not fail.
    let _ = writeln!(body, "\n{}.\n", figures::measured_on());
    body.push_str(
        "| members | connected | messages | items a message | in events, members, rooms, partitions | Redis a message | changes of a list a message | items a message, read | positions a reader | Redis a reader and message |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for report in reports {
        let by_table = TABLES.map(|table| {
            let items = report.quiet.items_of(table) / report.messages as f64;
            format!("{items:.2}")
        });
        let _ = writeln!(
            body,
            "| {} | {} | {} | {:.2} | {} | {:.2} | {:.2} | {:.1} | {:.1} | {:.3} |",
            report.members,
            report.readers,
            report.messages,
            report.items_a_message(),
            by_table.join(", "),
            report.cached_a_message(),
            report.badges_a_message(),
            report.items_a_message_read(),
            report.positions_a_reader(),
            report.cached_a_reader_and_message(),
        );
    }
    figures::write(&figures::put(&figures::page(), "growth", &body));
    fs::write(PLOT, drawn(reports)).unwrap();
}

fn drawn(reports: &[Report]) -> String {
    let points = |of: fn(&Report) -> f64| -> Vec<(f64, f64)> {
        let sizes = reports.iter();
        sizes
            .map(|report| (report.members as f64, of(report)))
            .collect()
    };
    let curves = [
        Curve {
            name: "an item for each reader and message",
            color: "#999999",
            points: points(Report::items_a_message_naive),
        },
        Curve {
            name: "everybody connected reads",
            color: "#d55e00",
            points: points(Report::items_a_message_read),
        },
        Curve {
            name: "nobody reads",
            color: "#0072b2",
            points: points(Report::items_a_message),
        },
    ];
    plot::svg("items a message writes", "members", &curves)
}
