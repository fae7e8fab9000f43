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
    /// How many places are later, in the order in which they are looked at.
    age: usize,
}

/// How `text`'s latest document may go on for `wanted` bytes: the likeliest first, at most `most`.
///
/// Looked up in the text itself and in `memory`. Past the end of the text the run repeats itself; in the
/// memory a continuation ends with its document. One that another begins with is counted with that one. Those
/// of the longest match come first, of equal ones those of the text itself, among these at every byte what
/// followed in more places, and then what followed later.
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
    branches.sort_by_key(|branch| (Reverse(branch.rank), branch.age));
    let mut ordered = Vec::with_capacity(branches.len());
    for alike in branches.chunk_by_mut(|a, b| a.rank == b.rank) {
        by_count(alike, 0);
        ordered.extend(alike.iter().map(|branch| Continuation {
            bytes: branch.bytes.clone(),
            length: branch.rank.0,
            count: branch.count,
        }));
        if ordered.len() >= most {
            break;
        }
    }
    ordered.truncate(most);
    ordered
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
                branch.rank = branch.rank.max(one.rank);
                branch.age = branch.age.min(one.age);
            }
            None => branches.push(one),
        }
    }
    branches
}

/// Orders branches that agree in their first `depth` bytes: at every byte first what more places go on with.
fn by_count(branches: &mut [Branch], depth: usize) {
    if branches.len() < 2 || std::env::var_os("LATEST").is_some() {
        return;
    }
    let mut depth = depth;
    while let Some(byte) = branches[0].bytes.get(depth) {
        if branches.iter().any(|branch| branch.bytes.get(depth) != Some(byte)) {
            break;
        }
        depth += 1;
    }
    let weights: Vec<(Option<u8>, usize, usize)> = {
        let mut weights: Vec<(Option<u8>, usize, usize)> = Vec::new();
        for branch in branches.iter() {
            let byte = branch.bytes.get(depth).copied();
            match weights.iter_mut().find(|(known, ..)| *known == byte) {
                Some((_, count, age)) => {
                    *count += branch.count;
                    *age = branch.age.min(*age);
                }
                None => weights.push((byte, branch.count, branch.age)),
            }
        }
        weights
    };
    let weight = |branch: &Branch| {
        let byte = branch.bytes.get(depth).copied();
        weights
            .iter()
            .find(|(known, ..)| *known == byte)
            .map(|&(byte, count, age)| (Reverse(count), age, byte))
    };
    branches.sort_by_key(|branch| (weight(branch), branch.age));
    for alike in branches.chunk_by_mut(|a, b| a.bytes.get(depth) == b.bytes.get(depth)) {
        by_count(alike, depth + 1);
    }
}
