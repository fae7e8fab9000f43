//! Where tokens end, in bytes.

use crate::id::Id;
use crate::vocab::Vocab;

/// The byte offset at which each of `ids` ends.
pub fn ends<I: Id>(vocab: &Vocab<I>, ids: &[I]) -> Vec<usize> {
    ids.iter()
        .scan(0, |end, &id| {
            *end += vocab.bytes(id).len();
            Some(*end)
        })
        .collect()
}

/// Number of tokens that end at or before byte `offset`, given ascending ends.
pub fn whole_tokens(ends: &[usize], offset: usize) -> usize {
    ends.partition_point(|&end| end <= offset)
}
