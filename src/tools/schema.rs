//! `roomlog schema`: the schemas of the topics' values, by subject.

pub(crate) fn run() -> anyhow::Result<()> {
    for subject in roomlog_schemas::subjects() {
        let schema: serde_json::Value = serde_json::from_str(subject.schema)?;
        println!(
            "{}",
            serde_json::json!({"subject": subject.name, "id": subject.id, "schema": schema})
        );
    }
    Ok(())
}
