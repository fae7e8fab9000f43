//! A change of a token sequence as one value: keep a prefix, then append.

/// Keep the first `keep` items, then append these. Rollback, growth and replacement are all splices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Splice<T> {
    /// Number of items that stay.
    pub keep: usize,
    /// Items that follow them.
    pub append: Vec<T>,
}

impl<T: Clone + PartialEq> Splice<T> {
    /// The splice that turns `before` into `after`; `keep` is maximal.
    pub fn between(before: &[T], after: &[T]) -> Self {
        let keep = common_prefix(before, after);
        Self { keep, append: after[keep..].to_vec() }
    }

    /// Applies the change in place.
    ///
    /// # Panics
    /// If `keep` is beyond the end of `sequence`.
    pub fn apply(&self, sequence: &mut Vec<T>) {
        assert!(self.keep <= sequence.len(), "splice keeps {} of {} items", self.keep, sequence.len());
        sequence.truncate(self.keep);
        sequence.extend_from_slice(&self.append);
    }

    /// This change followed by `next`, as one change.
    #[must_use]
    pub fn then(mut self, next: &Self) -> Self {
        if next.keep <= self.keep {
            return next.clone();
        }
        self.append.truncate(next.keep - self.keep);
        self.append.extend_from_slice(&next.append);
        self
    }
}

/// Length of the longest common prefix.
pub fn common_prefix<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
