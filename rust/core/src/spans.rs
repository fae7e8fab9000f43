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

/// Number of tokens that end at or before byte `offset`, given ascending ends. O(log tokens after it):
/// the search steps back from the end, so that a change near the end reads nothing else.
pub fn whole_tokens(ends: &[usize], offset: usize) -> usize {
    let (mut high, mut step) = (ends.len(), 1);
    let mut low = high.saturating_sub(step);
    while low < high && ends[low] > offset {
        (high, step) = (low, step * 2);
        low = low.saturating_sub(step);
    }
    low + ends[low..high].partition_point(|&end| end <= offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_tokens_is_the_partition_point() {
        for len in 0..40 {
            let ends: Vec<usize> = (0..len).map(|i| 3 + i / 2 * 2).collect();
            for offset in 0..50 {
                let expected = ends.iter().filter(|&&end| end <= offset).count();
                assert_eq!(whole_tokens(&ends, offset), expected, "{ends:?} at {offset}");
            }
        }
    }
}
