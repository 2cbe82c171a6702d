//! Sorted sets.

use bytes::Bytes;

use super::{Outcome, Scan, Words, span};
use crate::redis::keyspace::Keyspace;
use crate::redis::number::{self, Bound};
use crate::redis::reply::{Failure, Reply};
use crate::redis::sorted_set::SortedSet;

/// Which changes ZADD makes.
#[derive(Clone, Copy, Default)]
struct Adding {
    only_new: bool,
    only_old: bool,
    only_greater: bool,
    only_less: bool,
    counts_changes: bool,
    increments: bool,
}

/// What a range is of.
#[derive(Clone, Copy)]
struct Ranging {
    by_score: bool,
    reversed: bool,
    with_scores: bool,
    /// Elements left out, and elements given at most.
    limit: Option<(usize, usize)>,
}

// === impl Adding ===

impl Adding {
    fn parse(words: &mut Words<'_>) -> Result<Adding, Failure> {
        let mut adding = Adding::default();
        loop {
            let option = [
                ("NX", &mut adding.only_new),
                ("XX", &mut adding.only_old),
                ("GT", &mut adding.only_greater),
                ("LT", &mut adding.only_less),
                ("CH", &mut adding.counts_changes),
                ("INCR", &mut adding.increments),
            ];
            let mut found = false;
            for (name, flag) in option {
                if words.take(name) {
                    *flag = true;
                    found = true;
                }
            }
            if !found {
                break;
            }
        }
        if adding.only_new && adding.only_old {
            return Err(Failure::new(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        let directions = [adding.only_new, adding.only_greater, adding.only_less];
        if directions.into_iter().filter(|set| *set).count() > 1 {
            return Err(Failure::new(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        Ok(adding)
    }

    /// The score a member gets, or `None` if it stays as it is.
    fn score(self, old: Option<f64>, given: f64) -> Result<Option<f64>, Failure> {
        let Some(old) = old else {
            return Ok((!self.only_old).then_some(given));
        };
        let new = if self.increments { old + given } else { given };
        if new.is_nan() {
            return Err(Failure::new("ERR resulting score is not a number (NaN)"));
        }
        let refused =
            self.only_new || (self.only_greater && new <= old) || (self.only_less && new >= old);
        Ok((!refused).then_some(new))
    }
}

pub(super) fn add(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let mut words = Words::new(&arguments[1..]);
    let adding = Adding::parse(&mut words)?;
    let (pairs, rest) = words.rest().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(Failure::syntax());
    }
    if adding.increments && pairs.len() > 1 {
        return Err(Failure::new(
            "ERR INCR option supports a single increment-element pair",
        ));
    }
    let pairs = pairs
        .iter()
        .map(|[score, member]| Ok((number::float(score)?, member)));
    let pairs: Vec<(f64, &Bytes)> = pairs.collect::<Result<_, Failure>>()?;
    keys.change(&arguments[0], |set: &mut SortedSet| {
        let (mut added, mut changed, mut last) = (0, 0, None);
        for (given, member) in pairs {
            let old = set.score(member);
            last = adding.score(old, given)?;
            let Some(new) = last else {
                continue;
            };
            match old {
                None => added += 1,
                Some(old) if old != new => changed += 1,
                Some(_) => continue,
            }
            set.set(member.clone(), new);
        }
        Ok(if adding.increments {
            last.map_or(Reply::Nil, Reply::Double)
        } else {
            Reply::count(if adding.counts_changes {
                added + changed
            } else {
                added
            })
        })
    })
}

pub(super) fn increment(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let by = number::float(&arguments[1])?;
    let adding = Adding {
        increments: true,
        ..Adding::default()
    };
    keys.change(&arguments[0], |set: &mut SortedSet| {
        let score = adding.score(set.score(&arguments[2]), by)?.unwrap_or(by);
        set.set(arguments[2].clone(), score);
        Ok(Reply::Double(score))
    })
}

pub(super) fn remove(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    keys.change(&arguments[0], |set: &mut SortedSet| {
        let removed = arguments[1..].iter().filter(|member| set.remove(member));
        Ok(Reply::count(removed.count()))
    })
}

pub(super) fn score(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<SortedSet>(&arguments[0])?;
    let score = set.and_then(|set| set.score(&arguments[1]));
    Ok(score.map_or(Reply::Nil, Reply::Double))
}

pub(super) fn scores(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<SortedSet>(&arguments[0])?;
    let score = |member: &Bytes| {
        set.and_then(|set| set.score(member))
            .map_or(Reply::Nil, Reply::Double)
    };
    Ok(Reply::Array(arguments[1..].iter().map(score).collect()))
}

pub(super) fn length(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(
        keys.collection::<SortedSet>(&arguments[0])?
            .map_or(0, SortedSet::len),
    ))
}

pub(super) fn count(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (min, max) = (Bound::parse(&arguments[1])?, Bound::parse(&arguments[2])?);
    let set = keys.collection::<SortedSet>(&arguments[0])?;
    Ok(Reply::count(
        set.map_or(0, |set| set.between(min, max).count()),
    ))
}

pub(super) fn rank(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<SortedSet>(&arguments[0])?;
    let rank = set.and_then(|set| set.rank(&arguments[1]));
    Ok(rank.map_or(Reply::Nil, Reply::count))
}

pub(super) fn reverse_rank(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<SortedSet>(&arguments[0])?;
    let rank = set.and_then(|set| Some(set.len() - 1 - set.rank(&arguments[1])?));
    Ok(rank.map_or(Reply::Nil, Reply::count))
}

pub(super) fn range(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    select(keys, arguments, false, false)
}

pub(super) fn reverse_range(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    select(keys, arguments, false, true)
}

pub(super) fn range_by_score(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    select(keys, arguments, true, false)
}

pub(super) fn reverse_range_by_score(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    select(keys, arguments, true, true)
}

fn select(keys: &Keyspace, arguments: &[Bytes], by_score: bool, reversed: bool) -> Outcome {
    let mut ranging = Ranging {
        by_score,
        reversed,
        with_scores: false,
        limit: None,
    };
    let mut words = Words::new(&arguments[3..]);
    while let Some(option) = words.option() {
        match option.as_str() {
            "BYSCORE" => ranging.by_score = true,
            "REV" => ranging.reversed = true,
            "WITHSCORES" => ranging.with_scores = true,
            "LIMIT" => {
                // A negative offset gives nothing, a negative count everything.
                let skipped = usize::try_from(words.integer()?).unwrap_or(usize::MAX);
                let taken = usize::try_from(words.integer()?).unwrap_or(usize::MAX);
                ranging.limit = Some((skipped, taken));
            }
            _ => return Err(Failure::syntax()),
        }
    }
    if ranging.limit.is_some() && !ranging.by_score {
        let text =
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
        return Err(Failure::new(text));
    }
    let found = ranging.apply(keys, &arguments[0], &arguments[1], &arguments[2])?;
    Ok(match ranging.with_scores {
        true => Reply::Scored(found),
        false => Reply::bulks(found.into_iter().map(|(member, _)| member)),
    })
}

// === impl Ranging ===

impl Ranging {
    fn apply(
        self,
        keys: &Keyspace,
        key: &Bytes,
        from: &Bytes,
        to: &Bytes,
    ) -> Result<Vec<(Bytes, f64)>, Failure> {
        let owned = |(member, score): (&Bytes, f64)| (member.clone(), score);
        if self.by_score {
            let (min, max) = if self.reversed {
                (to, from)
            } else {
                (from, to)
            };
            let (min, max) = (Bound::parse(min)?, Bound::parse(max)?);
            let (skipped, taken) = self.limit.unwrap_or((0, usize::MAX));
            let Some(set) = keys.collection::<SortedSet>(key)? else {
                return Ok(Vec::new());
            };
            let found = set.between(min, max);
            return Ok(match self.reversed {
                true => found.rev().skip(skipped).take(taken).map(owned).collect(),
                false => found.skip(skipped).take(taken).map(owned).collect(),
            });
        }
        let (start, stop) = (number::integer(from)?, number::integer(to)?);
        let Some(set) = keys.collection::<SortedSet>(key)? else {
            return Ok(Vec::new());
        };
        let Some(span) = span(set.len(), start, stop) else {
            return Ok(Vec::new());
        };
        let (skipped, taken) = (*span.start(), span.end() - span.start() + 1);
        Ok(match self.reversed {
            true => set
                .iter()
                .rev()
                .skip(skipped)
                .take(taken)
                .map(owned)
                .collect(),
            false => set.iter().skip(skipped).take(taken).map(owned).collect(),
        })
    }
}

pub(super) fn remove_by_score(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (min, max) = (Bound::parse(&arguments[1])?, Bound::parse(&arguments[2])?);
    keys.change(&arguments[0], |set: &mut SortedSet| {
        let members: Vec<Bytes> = set
            .between(min, max)
            .map(|(member, _)| member.clone())
            .collect();
        Ok(remove_all(set, &members))
    })
}

pub(super) fn remove_by_rank(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (start, stop) = (
        number::integer(&arguments[1])?,
        number::integer(&arguments[2])?,
    );
    keys.change(&arguments[0], |set: &mut SortedSet| {
        let Some(span) = span(set.len(), start, stop) else {
            return Ok(Reply::Integer(0));
        };
        let members = set
            .iter()
            .skip(*span.start())
            .take(span.end() - span.start() + 1);
        let members: Vec<Bytes> = members.map(|(member, _)| member.clone()).collect();
        Ok(remove_all(set, &members))
    })
}

fn remove_all(set: &mut SortedSet, members: &[Bytes]) -> Reply {
    Reply::count(members.iter().filter(|member| set.remove(member)).count())
}

pub(super) fn scan(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let scan = Scan::parse(&arguments[1..])?;
    let empty = SortedSet::default();
    let set = keys
        .collection::<SortedSet>(&arguments[0])?
        .unwrap_or(&empty);
    let (next, found) = scan.step(set.len(), set.iter().map(|(member, _)| member.clone()));
    let entries = found.into_iter().flat_map(|member| {
        let score = number::format(set.score(&member).unwrap_or_default());
        [member, score.into()]
    });
    Ok(Reply::Array(vec![next, Reply::bulks(entries)]))
}
