//! The secret the tokens of a development system are made with: random, and kept with the data.

use std::{io::ErrorKind, path::Path};

use anyhow::Context as _;

/// The secret of this data folder, or a fresh one.
pub(super) fn of(data: Option<&Path>) -> anyhow::Result<String> {
    let fresh = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    let Some(folder) = data else {
        return Ok(fresh);
    };
    let file = folder.join("jwt-secret");
    match std::fs::read_to_string(&file) {
        Ok(kept) => Ok(kept),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&file, &fresh))
                .with_context(|| format!("{} can't be written", file.display()))?;
            Ok(fresh)
        }
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}
