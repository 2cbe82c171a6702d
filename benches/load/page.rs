//! Writes docs/benchmarks.md from what was measured, and keeps the sections that other benches wrote.

use std::fmt::Write as _;

use serde_json::Value;

use super::figures;

/// The benches that have sections of their own.
const OTHERS: [&str; 4] = ["fanout", "growth", "numbering", "stomp"];

/// What the figures mean, for who reads only the page.
const PREFACE: &str = "\
# Benchmarks

Written by `cargo bench --bench load -- --write`, which starts a system of its own, each service a process, on real
Kafka (one broker), DynamoDB Local and Redis, and measures on two shared cores that also run the load itself.
So read CPU time and ratios, not wall time.

- Traffic is open loop: a latency counts from the moment a message was due, in milliseconds.
- *exact*: every message came to every subscriber once and in order, checked while measuring.
- CPU is in seconds per million deliveries. *control* is a process that writes the same bytes to as many sockets and
  does nothing else, in the same run: what the kernel alone asks for. Messages sent at once it writes at once.
- *KiB* is what the gateway's resident memory grew by for each member from before the joins until all had signed in and
  subscribed.
- Each scenario ran three times against one system; the run of median CPU time is shown, *exact* speaks of all three.
";

/// Writes the page.
pub(crate) fn write(reports: &[Value], caught_up: Option<&Value>) {
    let mut page = PREFACE.to_owned();
    // Writing to a String does not fail.
    let _ = writeln!(
        page,
        "\n{}, messages of 200 bytes.\n",
        figures::measured_on()
    );
    page.push_str(
        "| scenario | rooms x subscribers | messages/s | deliveries/s | exact | p50 | p99 | RECEIPT p99 | gateway | fanout | persister | control | KiB |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for report in reports {
        let cpu = |service: usize| number(&report["cpu_s_per_million"][service]);
        let _ = writeln!(
            page,
            "| {} | {} x {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            text(&report["scenario"]),
            report["rooms"],
            report["subscribers"],
            number(&report["rate"]),
            whole(&report["deliveries_per_s"]),
            if report["exact"] == true { "yes" } else { "NO" },
            number(&report["latency_ms"]["p50"]),
            number(&report["latency_ms"]["p99"]),
            number(&report["receipt_ms"]["p99"]),
            cpu(0),
            cpu(1),
            cpu(2),
            number(&report["control_cpu_s_per_million"]),
            number(&report["kib_per_connection"]),
        );
    }
    if let Some(report) = caught_up {
        let _ = writeln!(
            page,
            "\n## The persister on a backlog\n\n\
             A persister that finds 20,000 messages of 100 rooms stores {} events/s, {:.2} of the {} rows/s of a\n\
             loop that only writes the same rows (BatchWriteItem of 25, eight at once), and spends {} CPU seconds per\n\
             million. It also moves each room's head, each sender's read position and each partition's offset.",
            whole(&report["events_per_s"]),
            report["share_of_raw"].as_f64().unwrap_or(f64::NAN),
            whole(&report["raw_rows_per_s"]),
            number(&report["cpu_s_per_million"]),
        );
    }
    page.push_str(&figures::kept(&figures::page(), &OTHERS));
    figures::write(&page);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "–".to_owned(), |number| format!("{number:.1}"))
}

fn whole(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "–".to_owned(), |number| format!("{number:.0}"))
}
