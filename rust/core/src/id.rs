//! Token ids that cannot be mixed up.
//!
//! A draft id and a target id are both small integers; confusing them is the classic fault of
//! speculative decoding across vocabularies. Here they are different types.

use std::fmt::Debug;
use std::hash::Hash;

/// What every kind of token id can do.
pub trait Id: Copy + Eq + Ord + Hash + Debug + Send + Sync + 'static {
    /// The id with this number.
    fn new(raw: u32) -> Self;
    /// The number of this id.
    fn raw(self) -> u32;
    /// The number of this id, as an index into a table.
    fn index(self) -> usize {
        self.raw() as usize
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u32);
        impl Id for $name {
            fn new(raw: u32) -> Self {
                Self(raw)
            }
            fn raw(self) -> u32 {
                self.0
            }
        }
    };
}

id!(
    /// An id of a tokenizer whose role (draft or target) is not decided yet.
    TokenId
);
id!(
    /// An id of the draft's vocabulary.
    DraftId
);
id!(
    /// An id of the target's vocabulary.
    TargetId
);

/// How "no such token" is written in the dense tables that leave Rust.
pub const MISSING: i64 = -1;
