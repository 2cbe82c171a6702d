//! `roomlog schema`: what programs can rely on, for programs to read.

use clap::{Args, ValueEnum};

/// Options of `roomlog schema`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to print.
    #[arg(value_enum, default_value = "topics")]
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The Avro schemas of the topics' values, by subject, as JSON lines.
    Topics,
    /// The OpenAPI document of the REST interface.
    Openapi,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match options.what {
        What::Topics => topics(),
        What::Openapi => {
            print!("{}", roomlog_gateway::openapi());
            Ok(())
        }
    }
}

fn topics() -> anyhow::Result<()> {
    for subject in roomlog_schemas::subjects() {
        let schema: serde_json::Value = serde_json::from_str(subject.schema)?;
        println!(
            "{}",
            serde_json::json!({
                "subject": subject.name,
                "version": subject.version,
                "id": subject.id,
                "schema": schema,
            })
        );
    }
    Ok(())
}
