//! How a text may go on, by what followed where it read the same before.

use std::cmp::Reverse;

use super::{Index, LONGEST, Memory};

/// Bytes that may follow, and what speaks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// What followed.
    pub bytes: Vec<u8>,
    /// Bytes that the text before it has in common with the text's end, the most of all places.
    pub length: usize,
    /// In how many places it followed.
    pub count: usize,
}

/// A continuation on its way.
#[derive(Clone)]
struct Branch {
    bytes: Vec<u8>,
    count: usize,
    /// The longest match, and whether one of that length is in the text itself.
    rank: (usize, bool),
    /// Of the latest of these, how many places were looked at before it.
    age: usize,
}

/// How `text`'s latest document may go on for `wanted` bytes: the likeliest first, at most `most`.
///
/// Looked up in the text itself and in `memory`. Past the end of the text the run repeats itself; in the
/// memory a continuation ends with its document. One that another begins with is counted with that one. Those
/// of the longest match come first, of equal ones those of the text itself, among these what followed last, and
/// then what followed in more places. (Replayed on known texts, by counts alone the first was no better.)
pub fn continuations(text: &Index, memory: Option<&Memory>, wanted: usize, most: usize) -> Vec<Continuation> {
    let suffix = text.tail(LONGEST);
    let own = text
        .places(&suffix)
        .into_iter()
        .map(|place| (cycled(text.following(place.position, wanted), wanted), (place.length, true)));
    let mut found: Vec<_> = own.collect();
    if let Some(memory) = memory {
        found.extend(memory.with(|index| {
            let places = index.places(&suffix).into_iter();
            places
                .map(|place| (index.following(place.position, wanted), (place.length, false)))
                .collect::<Vec<_>>()
        }));
    }
    let mut branches = merged(found);
    let latest = branches.iter().map(|branch| (Reverse(branch.rank), branch.age)).min();
    branches.sort_by_key(|branch| {
        let first = Some((Reverse(branch.rank), branch.age)) == latest;
        (!first, Reverse(branch.rank), Reverse(branch.count), branch.age)
    });
    let ordered = branches.into_iter().take(most);
    ordered.map(|Branch { bytes, count, rank, .. }| Continuation { bytes, length: rank.0, count }).collect()
}

/// A run that repeats itself.
fn cycled(mut run: Vec<u8>, wanted: usize) -> Vec<u8> {
    let period = run.len();
    if period > 0 {
        for i in period..wanted {
            run.push(run[i - period]);
        }
    }
    run
}

/// What is the beginning of another becomes one with it: with the likeliest, if there are several.
fn merged(found: Vec<(Vec<u8>, (usize, bool))>) -> Vec<Branch> {
    let single = |(age, (bytes, rank))| Branch { bytes, count: 1, rank, age };
    let mut single: Vec<Branch> = found.into_iter().enumerate().map(single).collect();
    single.sort_by_key(|branch| Reverse(branch.bytes.len())); // stable: the latest first
    let mut branches: Vec<Branch> = Vec::new();
    for one in single {
        let longer = branches.iter_mut().filter(|branch| branch.bytes.starts_with(&one.bytes));
        match longer.max_by_key(|branch| (branch.rank, branch.count, Reverse(branch.age))) {
            Some(branch) => {
                branch.count += one.count;
                let best = (branch.rank, Reverse(branch.age)).max((one.rank, Reverse(one.age)));
                (branch.rank, Reverse(branch.age)) = best;
            }
            None => branches.push(one),
        }
    }
    branches
}
