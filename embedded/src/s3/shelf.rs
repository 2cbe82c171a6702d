//! Where the objects are.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::{body::Bytes, http::StatusCode};

use super::Refused;
use crate::StackError;

/// What is put behind an object's name to say its media type.
const TYPE_SUFFIX: &str = ".type";

/// An object with its media type.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

/// All objects.
pub(super) enum Shelf {
    Memory(Mutex<HashMap<String, Object>>),
    /// A file each, and one more for its media type.
    Folder(PathBuf),
}

/// Whether a name is one of an object, and no way out of the folder.
pub(super) fn is_key(key: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(is_plain);
    !key.is_empty() && key.split('/').all(is_part)
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn open(folder: Option<PathBuf>) -> Result<Self, StackError> {
        let Some(folder) = folder else {
            return Ok(Self::Memory(Mutex::default()));
        };
        std::fs::create_dir_all(&folder).map_err(StackError::storage(&folder))?;
        Ok(Self::Folder(folder))
    }

    pub(super) async fn put(&self, key: &str, object: Object) -> Result<(), Refused> {
        match self {
            Self::Memory(objects) => {
                let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
                objects.insert(key.to_owned(), object);
                Ok(())
            }
            Self::Folder(folder) => write(&folder.join(key), object).await.map_err(|error| {
                tracing::error!(%error, "an object can't be written");
                Refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Object>, Refused> {
        match self {
            Self::Memory(objects) => {
                let objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(objects.get(key).cloned())
            }
            Self::Folder(folder) => match read(&folder.join(key)).await {
                Ok(object) => Ok(Some(object)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    tracing::error!(%error, "an object can't be read");
                    Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
                }
            },
        }
    }
}

/// The type first: whoever finds the object finds its type.
async fn write(file: &Path, object: Object) -> std::io::Result<()> {
    if let Some(parent) = file.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(type_of(file), object.media_type).await?;
    let whole = file.with_extension("part");
    tokio::fs::write(&whole, object.bytes).await?;
    tokio::fs::rename(&whole, file).await
}

async fn read(file: &Path) -> std::io::Result<Object> {
    Ok(Object {
        bytes: tokio::fs::read(file).await?.into(),
        media_type: tokio::fs::read_to_string(type_of(file)).await?,
    })
}

fn type_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(TYPE_SUFFIX);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_folder() {
        assert!(is_key("rooms/lobby/f-1") && is_key("a"));
        for bad in [
            "", "/", "a//b", "../a", "a/..", "a/./b", "a.type", "a%2fb", "a\\b", "/a",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
