//! The topics of the broker, and their directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use uuid::Uuid;

use super::files::{replace_file, sync_parent};
use super::partition::Partition;
use super::topic_config::TopicConfig;
use crate::mutex::{read, write};

/// Partitions of all topics together. Each costs a file and some kilobytes; one more is refused.
const PARTITIONS_MAX: usize = 4096;

/// Kafka's own limit: a longer name does not fit a directory name.
const NAME_BYTES_MAX: usize = 249;

/// Bytes kept per partition without a directory, whatever the topic says: memory is not a disk.
const MEMORY_PARTITION_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Names the file in a topic's directory that says what it is.
const DESCRIPTION_FILE: &str = "topic";

/// All topics by name.
pub(super) struct Topics {
    dir: Option<PathBuf>,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
}

/// One topic as it is at a moment; a change makes a new value that shares the partitions.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) partitions: Vec<Arc<Partition>>,
    pub(super) config: TopicConfig,
}

/// Why a topic cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TopicError {
    /// The name is not one Kafka takes.
    #[error("topic name is illegal: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    Name,
    /// There is one of this name.
    #[error("topic already exists")]
    Exists,
    /// There is none of this name.
    #[error("no such topic")]
    Unknown,
    /// Too few, or more than this broker holds.
    #[error("number of partitions is not possible")]
    Partitions,
    /// The disk is at fault.
    #[error("cannot write the topic")]
    Storage(#[from] io::Error),
}

// === impl Topics ===

impl Topics {
    /// Opens all topics of a directory, recovering their logs.
    pub(super) fn open(dir: Option<&Path>) -> io::Result<Topics> {
        let topics = Topics {
            dir: dir.map(|dir| dir.join("topics")),
            by_name: RwLock::default(),
        };
        let (Some(dir), Some(own)) = (dir, &topics.dir) else {
            return Ok(topics);
        };
        fs::create_dir_all(own)?;
        remove_dir(&dir.join("deleted"))?;
        let mut by_name = write(&topics.by_name);
        for entry in fs::read_dir(own)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(String::from) else {
                continue;
            };
            if let Some(topic) = topics.load(&name)? {
                by_name.insert(name, Arc::new(topic));
            }
        }
        drop(by_name);
        Ok(topics)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.by_name).get(name).cloned()
    }

    pub(super) fn all(&self) -> Vec<(String, Arc<Topic>)> {
        let by_name = read(&self.by_name);
        by_name
            .iter()
            .map(|(name, topic)| (name.clone(), Arc::clone(topic)))
            .collect()
    }

    pub(super) fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        read(&self.by_name)
            .get(topic)?
            .partitions
            .get(index)
            .cloned()
    }

    /// Whether a topic could be created, without doing it.
    pub(super) fn check_new(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        check_new(&read(&self.by_name), name, partitions).map(drop)
    }

    pub(super) fn create(
        &self,
        name: &str,
        partitions: i32,
        config: TopicConfig,
    ) -> Result<Uuid, TopicError> {
        let mut by_name = write(&self.by_name);
        let count = check_new(&by_name, name, partitions)?;
        let mut topic = Topic {
            id: Uuid::new_v4(),
            partitions: Vec::new(),
            config,
        };
        let id = topic.id;
        self.add_partitions(name, &mut topic, count)?;
        self.describe(name, &topic)?;
        by_name.insert(name.into(), Arc::new(topic));
        Ok(id)
    }

    /// Raises the number of partitions to `partitions`; `only_check` leaves it at asking.
    pub(super) fn grow(
        &self,
        name: &str,
        partitions: i32,
        only_check: bool,
    ) -> Result<(), TopicError> {
        let mut by_name = write(&self.by_name);
        let others: usize = total_partitions(&by_name);
        let topic = by_name.get_mut(name).ok_or(TopicError::Unknown)?;
        let count = usize::try_from(partitions).map_err(|_| TopicError::Partitions)?;
        let now = topic.partitions.len();
        if count <= now || others - now + count > PARTITIONS_MAX {
            return Err(TopicError::Partitions);
        }
        if only_check {
            return Ok(());
        }
        let mut grown = Topic::clone(topic);
        self.add_partitions(name, &mut grown, count)?;
        self.describe(name, &grown)?;
        *topic = Arc::new(grown);
        Ok(())
    }

    pub(super) fn configure(&self, name: &str, config: TopicConfig) -> Result<(), TopicError> {
        let mut by_name = write(&self.by_name);
        let topic = by_name.get_mut(name).ok_or(TopicError::Unknown)?;
        let mut changed = Topic::clone(topic);
        changed.config = config;
        self.describe(name, &changed)?;
        *topic = Arc::new(changed);
        Ok(())
    }

    pub(super) fn delete(&self, name: &str) -> Result<Uuid, TopicError> {
        let topic = write(&self.by_name)
            .remove(name)
            .ok_or(TopicError::Unknown)?;
        for partition in &topic.partitions {
            // Whoever waits for more looks again and finds that there is no such topic.
            partition.grew().notify_waiters();
        }
        if let Some(dir) = &self.dir {
            // Renaming is atomic: a crash leaves the topic whole or gone, never half.
            let deleted = dir.with_file_name("deleted");
            fs::create_dir_all(&deleted)?;
            fs::rename(dir.join(name), deleted.join(topic.id.to_string()))?;
            sync_parent(&dir.join(name))?;
            remove_dir(&deleted)?;
        }
        Ok(topic.id)
    }

    /// Removes what the topics' retention lets go.
    pub(super) fn retain(&self, now_ms: i64) {
        for (name, topic) in self.all() {
            let mut retention = topic.config.retention();
            if self.dir.is_none() {
                let max = retention.bytes_max.unwrap_or(u64::MAX);
                retention.bytes_max = Some(max.min(MEMORY_PARTITION_BYTES_MAX));
            }
            for partition in &topic.partitions {
                if let Err(error) = partition.with_log(|log| log.retain(retention, now_ms)) {
                    tracing::warn!(topic = name, %error, "expired records were not removed");
                }
            }
        }
    }

    fn add_partitions(&self, name: &str, topic: &mut Topic, count: usize) -> io::Result<()> {
        for index in topic.partitions.len()..count {
            let dir = self
                .dir
                .as_ref()
                .map(|dir| dir.join(name).join(index.to_string()));
            let partition = Partition::open(dir.as_deref(), topic.config.segment_bytes_max())?;
            topic.partitions.push(Arc::new(partition));
        }
        Ok(())
    }

    /// Writes what the topic is; without this file its directory counts as unfinished.
    fn describe(&self, name: &str, topic: &Topic) -> io::Result<()> {
        let Some(dir) = &self.dir else {
            return Ok(());
        };
        let mut text = format!("id={}\npartitions={}\n", topic.id, topic.partitions.len());
        for (name, value) in topic.config.stored() {
            text += &format!("config.{name}={value}\n");
        }
        let dir = dir.join(name);
        fs::create_dir_all(&dir)?;
        sync_parent(&dir)?;
        replace_file(&dir.join(DESCRIPTION_FILE), text.as_bytes())
    }

    fn load(&self, name: &str) -> io::Result<Option<Topic>> {
        let Some(dir) = self.dir.as_ref().map(|dir| dir.join(name)) else {
            return Ok(None);
        };
        let text = match fs::read_to_string(dir.join(DESCRIPTION_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || io::Error::other(format!("the description of topic {name} is damaged"));
        let (mut id, mut count, mut config) = (None, None, TopicConfig::default());
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key.strip_prefix("config.") {
                Some(setting) => config.set(setting, Some(value)).map_err(|_| damaged())?,
                None if key == "id" => id = value.parse().ok(),
                None => count = value.parse().ok(),
            }
        }
        let (id, count) = id.zip(count).ok_or_else(damaged)?;
        let mut topic = Topic {
            id,
            partitions: Vec::new(),
            config,
        };
        self.add_partitions(name, &mut topic, count)?;
        Ok(Some(topic))
    }
}

fn check_new(
    by_name: &BTreeMap<String, Arc<Topic>>,
    name: &str,
    partitions: i32,
) -> Result<usize, TopicError> {
    if !is_legal(name) {
        return Err(TopicError::Name);
    }
    if by_name.contains_key(name) {
        return Err(TopicError::Exists);
    }
    let count = usize::try_from(partitions).unwrap_or(0);
    if count == 0 || total_partitions(by_name) + count > PARTITIONS_MAX {
        return Err(TopicError::Partitions);
    }
    Ok(count)
}

fn total_partitions(by_name: &BTreeMap<String, Arc<Topic>>) -> usize {
    by_name.values().map(|topic| topic.partitions.len()).sum()
}

/// Whether `name` may name a topic; such a name is safe as that of a directory, too.
pub(super) fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(legal)
        && name != "."
        && name != ".."
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn topics_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let topics = Topics::open(Some(dir.path())).unwrap();
        let mut config = TopicConfig::default();
        config
            .set("message.timestamp.type", Some("LogAppendTime"))
            .unwrap();
        let id = topics.create("kept", 2, config.clone()).unwrap();
        topics.create("gone", 1, TopicConfig::default()).unwrap();
        topics.grow("kept", 5, false).unwrap();
        topics.delete("gone").unwrap();
        drop(topics);

        let topics = Topics::open(Some(dir.path())).unwrap();
        assert_eq!(topics.all().len(), 1);
        let kept = topics.get("kept").unwrap();
        assert_eq!((kept.id, kept.partitions.len()), (id, 5));
        assert_eq!(kept.config, config);
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        let topics = Topics::open(None).unwrap();
        for name in ["", ".", "..", "a/b", "ä", &"x".repeat(250)] {
            let refused = topics.create(name, 1, TopicConfig::default());
            assert!(matches!(refused, Err(TopicError::Name)), "{name}");
        }
    }

    #[test]
    fn the_number_of_partitions_is_bounded() {
        let topics = Topics::open(None).unwrap();
        for count in [0, -1, i32::MAX] {
            let refused = topics.create("t", count, TopicConfig::default());
            assert!(matches!(refused, Err(TopicError::Partitions)));
        }
        topics.create("t", 3, TopicConfig::default()).unwrap();
        assert!(matches!(
            topics.grow("t", 3, false),
            Err(TopicError::Partitions)
        ));
    }
}
