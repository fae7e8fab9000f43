//! Ranks, control tokens and a pattern, whatever they are, are loaded or refused.
#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind};

use anydraft_core::retokenizer::Retokenizer;
use anydraft_fuzz::{Part, let_panics_of_libraries_pass};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Given {
    bytes: bool,
    ranks: Vec<(Vec<u8>, u32)>,
    special: Vec<(String, u32)>,
    pattern: u8,
    own: String,
    text: Vec<Part>,
}

const PATTERNS: &[&str] =
    &[r"\s+|\S+", r"(?i:'s)|\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "", "(", r"(a+)+b"];

fuzz_target!(
    init: { let_panics_of_libraries_pass(); },
    |given: Given| {
        let every = (0..=255u8).filter(|_| given.bytes).map(|byte| (vec![byte], u32::from(byte)));
        let ranks: Vec<(Vec<u8>, u32)> = every.chain(given.ranks).collect();
        let pattern = PATTERNS.get(usize::from(given.pattern) % (PATTERNS.len() + 1)).copied().unwrap_or(&given.own);
        let loaded = catch_unwind(AssertUnwindSafe(|| anydraft_hf::from_tiktoken(ranks, given.special, pattern)));
        let Ok(Ok(loaded)) = loaded else { return };
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let mut stream = Retokenizer::new(loaded.tokenizer);
            for part in &given.text {
                stream.push(part.bytes());
            }
        }));
    }
);
