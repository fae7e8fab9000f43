//! Boundaries that two segmentations of the same bytes have in common.

/// A place where both segmentations have a token boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boundary {
    /// Byte offset.
    pub offset: usize,
    /// Tokens of the left segmentation before it.
    pub left: usize,
    /// Tokens of the right segmentation before it.
    pub right: usize,
}

/// All common boundaries after the start, in order. Both lists hold ascending token ends; of tokens
/// that end at one offset (tokens without bytes) the last counts. O(tokens).
pub fn common_boundaries(left: &[usize], right: &[usize]) -> Vec<Boundary> {
    let mut found: Vec<Boundary> = Vec::new();
    let mut j = 0;
    for (i, &offset) in left.iter().enumerate() {
        if left.get(i + 1) == Some(&offset) {
            continue;
        }
        while j < right.len() && right[j] <= offset {
            j += 1;
        }
        if j > 0 && right[j - 1] == offset {
            found.push(Boundary { offset, left: i + 1, right: j });
        }
    }
    found
}
