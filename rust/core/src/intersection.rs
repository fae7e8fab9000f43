//! Tokens of two vocabularies that are equal as bytes.

use crate::id::{DraftId, Id, TargetId};
use crate::vocab::Vocab;

/// All pairs of ids with equal, non-empty bytes, duplicates included, in ascending order.
pub fn pairs(target: &Vocab<TargetId>, draft: &Vocab<DraftId>) -> Vec<(TargetId, DraftId)> {
    let mut found = Vec::new();
    for (d, bytes) in draft.distinct() {
        if let Some(t) = target.find(bytes) {
            for t in std::iter::once(t).chain(target.duplicates(t)) {
                for d in std::iter::once(d).chain(draft.duplicates(d)) {
                    found.push((t, d));
                }
            }
        }
    }
    found.sort_unstable();
    found
}

/// How much of each vocabulary the other one shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// Distinct byte strings in both vocabularies.
    pub shared: usize,
    /// Target ids that stand for bytes.
    pub target_tokens: usize,
    /// Draft ids that stand for bytes.
    pub draft_tokens: usize,
    /// Target ids whose bytes the draft has as one token.
    pub target_shared: usize,
    /// Draft ids whose bytes the target has as one token.
    pub draft_shared: usize,
}

/// Coverage by count.
pub fn coverage(target: &Vocab<TargetId>, draft: &Vocab<DraftId>) -> Coverage {
    let mut sum = Coverage::default();
    for (t, bytes) in target.distinct() {
        let ids = 1 + target.duplicates(t).count();
        sum.target_tokens += ids;
        if draft.find(bytes).is_some() {
            sum.shared += 1;
            sum.target_shared += ids;
        }
    }
    for (d, bytes) in draft.distinct() {
        let ids = 1 + draft.duplicates(d).count();
        sum.draft_tokens += ids;
        if target.find(bytes).is_some() {
            sum.draft_shared += ids;
        }
    }
    sum
}

/// How many of `ids` have bytes that `other` has as one token: coverage weighted by usage.
pub fn shared_usage<I: Id, J: Id>(vocab: &Vocab<I>, other: &Vocab<J>, ids: &[I]) -> usize {
    ids.iter().filter(|&&id| other.find(vocab.bytes(id)).is_some()).count()
}
