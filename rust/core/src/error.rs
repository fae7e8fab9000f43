//! Errors of the core: ids and byte offsets, no prose. The sentence is made at the Python border.

use thiserror::Error;

/// What can go wrong in the core.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// An id beyond the vocabulary.
    #[error("id {id} is outside a vocabulary of {size}")]
    UnknownId {
        /// The id.
        id: u32,
        /// The number of ids.
        size: usize,
    },
    /// The same id was given twice.
    #[error("id {id} is given twice")]
    RepeatedId {
        /// The id.
        id: u32,
    },
    /// The model's logits are narrower than its tokenizer's vocabulary.
    #[error("width {width} is smaller than the vocabulary of {size}")]
    TooNarrow {
        /// Number of logits.
        width: usize,
        /// Number of ids.
        size: usize,
    },
    /// A vocabulary beyond 2^31 tokens or bytes.
    #[error("a vocabulary of {size} is too large")]
    TooLarge {
        /// Number of ids or bytes.
        size: usize,
    },
    /// An id far beyond the number of tokens.
    #[error("id {id} in a vocabulary of {tokens} tokens; at most {most} ids are read for so few")]
    TooSparse {
        /// The largest id.
        id: u32,
        /// The number of tokens.
        tokens: usize,
        /// The number of ids that would be accepted.
        most: usize,
    },
    /// A saved table does not fit the vocabularies it is used with.
    #[error("table {table} has {got} entries, expected {expected}")]
    Table {
        /// Name of the table.
        table: &'static str,
        /// Entries found.
        got: usize,
        /// Entries expected.
        expected: usize,
    },
}
