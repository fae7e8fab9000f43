//! Ranks, control tokens and a pattern, whatever they are, are loaded or refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anydraft_core::retokenizer::Retokenizer;
use arbitrary::Arbitrary;

use crate::Part;

/// A file, and a text to encode with it.
#[derive(Arbitrary, Debug)]
pub struct Given {
    bytes: bool,
    ranks: Vec<(Vec<u8>, u32)>,
    special: Vec<(String, u32)>,
    pattern: u8,
    own: String,
    text: Vec<Part>,
}

const PATTERNS: &[&str] =
    &[r"\s+|\S+", r"(?i:'s)|\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "", "(", r"(a+)+b"];

/// Loads one, and encodes with it.
pub fn run(given: Given) {
    let every = (0..=255u8).filter(|_| given.bytes).map(|byte| (vec![byte], u32::from(byte)));
    let ranks: Vec<(Vec<u8>, u32)> = every.chain(given.ranks).collect();
    let pattern =
        PATTERNS.get(usize::from(given.pattern) % (PATTERNS.len() + 1)).copied().unwrap_or(&given.own);
    let loaded = catch_unwind(AssertUnwindSafe(|| anydraft_hf::from_tiktoken(ranks, given.special, pattern)));
    let Ok(Ok(loaded)) = loaded else { return };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let mut stream = Retokenizer::new(loaded.tokenizer);
        for part in &given.text {
            stream.push(part.bytes());
        }
    }));
}
