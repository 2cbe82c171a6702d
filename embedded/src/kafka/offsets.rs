//! Committed offsets: per group and partition the next offset to read.
//!
//! Kept in one append-only file of checksummed entries, rewritten when most of it is superseded.
//! It is not flushed: a killed process loses nothing, a power cut the last commits, after which consumers read a little twice.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::files::replace_file;
use crate::mutex::lock;

/// Commits kept over all groups and partitions; one more is refused.
const COMMITS_MAX: usize = 100_000;

/// Bytes appended before the file is rewritten with the present commits only.
const REWRITE_AFTER_BYTES: usize = 1024 * 1024;

/// Bytes of one entry, more than which can't have been written by this broker.
const ENTRY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the text a client may leave with a commit, as in Kafka.
pub(super) const METADATA_BYTES_MAX: usize = 4096;

/// One group's commits by topic and partition.
type GroupCommits = BTreeMap<(String, i32), Commit>;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    /// The next offset to read.
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    /// The client's own text.
    pub(super) metadata: String,
}

/// The commits of all groups.
pub(super) struct Offsets {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    groups: HashMap<String, GroupCommits>,
    commits: usize,
    journal: Option<Journal>,
}

struct Journal {
    path: PathBuf,
    file: File,
    appended_bytes: usize,
}

/// Why a commit is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    /// [`COMMITS_MAX`] are there.
    #[error("too many committed offsets")]
    Full,
    /// The disk is at fault.
    #[error("cannot write committed offsets")]
    Storage(#[from] io::Error),
}

/// What an entry of the file says. `None` as a group's commits: the group is deleted.
struct Entry {
    group: String,
    commit: Option<(String, i32, Commit)>,
}

// === impl Offsets ===

impl Offsets {
    /// Reads the commits in `dir`; an unfinished last entry is dropped.
    pub(super) fn open(dir: Option<&Path>) -> io::Result<Offsets> {
        let mut inner = Inner::default();
        if let Some(dir) = dir {
            let path = dir.join("offsets");
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            let mut rest = &bytes[..];
            while let Some(entry) = Entry::decode(&mut rest) {
                inner.apply(entry);
            }
            inner.journal = Some(Journal::rewrite(path, &inner.groups)?);
        }
        Ok(Offsets {
            inner: Mutex::new(inner),
        })
    }

    pub(super) fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        commit: Commit,
    ) -> Result<(), CommitError> {
        let mut inner = lock(&self.inner);
        let known = inner.groups.get(group);
        let is_new = known.is_none_or(|commits| !commits.contains_key(&(topic.into(), partition)));
        if is_new && inner.commits >= COMMITS_MAX {
            return Err(CommitError::Full);
        }
        let commit = Some((topic.into(), partition, commit));
        inner.record(Entry {
            group: group.into(),
            commit,
        })?;
        Ok(())
    }

    pub(super) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Commit> {
        let inner = lock(&self.inner);
        inner
            .groups
            .get(group)?
            .get(&(topic.into(), partition))
            .cloned()
    }

    /// All commits of a group, by topic.
    pub(super) fn of_group(&self, group: &str) -> BTreeMap<String, Vec<(i32, Commit)>> {
        let mut topics: BTreeMap<String, Vec<(i32, Commit)>> = BTreeMap::new();
        let inner = lock(&self.inner);
        for ((topic, partition), commit) in inner.groups.get(group).into_iter().flatten() {
            topics
                .entry(topic.clone())
                .or_default()
                .push((*partition, commit.clone()));
        }
        topics
    }

    /// Groups that have commits.
    pub(super) fn groups(&self) -> Vec<String> {
        lock(&self.inner).groups.keys().cloned().collect()
    }

    /// Forgets a group's commits; gives whether it had any.
    pub(super) fn delete(&self, group: &str) -> io::Result<bool> {
        let mut inner = lock(&self.inner);
        let known = inner.groups.contains_key(group);
        if known {
            inner.record(Entry {
                group: group.into(),
                commit: None,
            })?;
        }
        Ok(known)
    }
}

// === impl Inner ===

impl Inner {
    fn record(&mut self, entry: Entry) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.append(&entry.encode())?;
        }
        self.apply(entry);
        if let Some(journal) = &mut self.journal
            && journal.appended_bytes >= REWRITE_AFTER_BYTES
        {
            *journal = Journal::rewrite(journal.path.clone(), &self.groups)?;
        }
        Ok(())
    }

    fn apply(&mut self, entry: Entry) {
        match entry.commit {
            Some((topic, partition, commit)) => {
                let commits = self.groups.entry(entry.group).or_default();
                if commits.insert((topic, partition), commit).is_none() {
                    self.commits += 1;
                }
            }
            None => {
                let removed = self.groups.remove(&entry.group).unwrap_or_default();
                self.commits -= removed.len();
            }
        }
    }
}

// === impl Journal ===

impl Journal {
    fn rewrite(path: PathBuf, groups: &HashMap<String, GroupCommits>) -> io::Result<Journal> {
        let mut content = Vec::new();
        for (group, commits) in groups {
            for ((topic, partition), commit) in commits {
                let commit = Some((topic.clone(), *partition, commit.clone()));
                content.extend(
                    Entry {
                        group: group.clone(),
                        commit,
                    }
                    .encode(),
                );
            }
        }
        replace_file(&path, &content)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(Journal {
            path,
            file,
            appended_bytes: 0,
        })
    }

    fn append(&mut self, entry: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(entry) {
            // Half an entry would hide all later ones.
            self.file.set_len(before)?;
            return Err(error);
        }
        self.appended_bytes += entry.len();
        Ok(())
    }
}

// === impl Entry ===

impl Entry {
    /// Length, checksum, then the fields; texts are preceded by their length.
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_text(&mut body, &self.group);
        if let Some((topic, partition, commit)) = &self.commit {
            put_text(&mut body, topic);
            body.extend(partition.to_be_bytes());
            body.extend(commit.offset.to_be_bytes());
            body.extend(commit.leader_epoch.to_be_bytes());
            put_text(&mut body, &commit.metadata);
        }
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut entry = length.to_be_bytes().to_vec();
        entry.extend(crc32c::crc32c(&body).to_be_bytes());
        entry.extend(body);
        entry
    }

    fn decode(bytes: &mut &[u8]) -> Option<Entry> {
        let length = usize::try_from(u32::from_be_bytes(take(bytes)?)).ok()?;
        let crc = u32::from_be_bytes(take(bytes)?);
        if length > ENTRY_BYTES_MAX || length > bytes.len() {
            return None;
        }
        let (mut body, rest) = bytes.split_at(length);
        *bytes = rest;
        if crc32c::crc32c(body) != crc {
            return None;
        }
        let group = take_text(&mut body)?;
        if body.is_empty() {
            return Some(Entry {
                group,
                commit: None,
            });
        }
        let topic = take_text(&mut body)?;
        let partition = i32::from_be_bytes(take(&mut body)?);
        let offset = i64::from_be_bytes(take(&mut body)?);
        let leader_epoch = i32::from_be_bytes(take(&mut body)?);
        let metadata = take_text(&mut body)?;
        let commit = Commit {
            offset,
            leader_epoch,
            metadata,
        };
        Some(Entry {
            group,
            commit: Some((topic, partition, commit)),
        })
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    // Names come from 16-bit lengths of the protocol, so they always fit.
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(take(bytes)?));
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(offset: i64) -> Commit {
        Commit {
            offset,
            leader_epoch: 0,
            metadata: "m".into(),
        }
    }

    #[test]
    fn commits_and_deletions_survive_a_restart_and_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = Offsets::open(Some(dir.path())).unwrap();
        offsets.commit("g", "t", 0, at(1)).unwrap();
        offsets.commit("g", "t", 0, at(2)).unwrap();
        offsets.commit("gone", "t", 0, at(9)).unwrap();
        assert!(offsets.delete("gone").unwrap());
        offsets.commit("g", "t", 1, at(3)).unwrap();
        drop(offsets);
        let path = dir.path().join("offsets");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();

        let offsets = Offsets::open(Some(dir.path())).unwrap();
        assert_eq!(offsets.committed("g", "t", 0), Some(at(2)));
        assert_eq!(offsets.committed("g", "t", 1), None);
        assert_eq!(offsets.groups(), ["g"]);
    }

    #[test]
    fn the_file_stays_small_however_often_one_commits() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = Offsets::open(Some(dir.path())).unwrap();
        for offset in 0..60_000 {
            offsets.commit("g", "t", 0, at(offset)).unwrap();
        }
        let bytes = fs::metadata(dir.path().join("offsets")).unwrap().len();
        assert!(bytes < 2 * REWRITE_AFTER_BYTES as u64, "{bytes}");
        drop(offsets);
        let offsets = Offsets::open(Some(dir.path())).unwrap();
        assert_eq!(offsets.committed("g", "t", 0), Some(at(59_999)));
    }
}
