//! Vocabularies and texts made by rule, because the crates know no files.
#![allow(dead_code)] // each bench uses its part

use std::collections::HashSet;
use std::fmt::Write as _;

use anydraft_core::encode::Tokenizer;
use anydraft_core::id::Id;
use serde_json::json;

/// Splits as the patterns of real tokenizers do.
const PATTERN: &str = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+";

const ONSETS: &[u8] = b"bdfgklmnprstvz";
const VOWELS: &[u8] = b"aeiou";

/// A small generator of pseudo-random numbers.
pub struct Random(u64);

impl Random {
    /// Equal seeds, equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn syllable(random: &mut Random) -> [u8; 2] {
    [ONSETS[random.below(ONSETS.len())], VOWELS[random.below(VOWELS.len())]]
}

/// All bytes, all syllables, and words of two to four of them, plain and after a space, until there are
/// `size` tokens. Other seeds, other words.
fn ranks(size: usize, seed: u64) -> Vec<(Vec<u8>, u32)> {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for &onset in ONSETS {
        tokens.push(vec![b' ', onset]);
        for &vowel in VOWELS {
            tokens.extend([vec![onset, vowel], vec![b' ', onset, vowel]]);
        }
    }
    let mut known: HashSet<Vec<u8>> = tokens.iter().cloned().collect();
    let mut random = Random::new(seed);
    while tokens.len() < size {
        let mut word = if random.below(2) == 0 { Vec::new() } else { vec![b' '] };
        for _ in 0..2 + random.below(3) {
            word.extend(syllable(&mut random));
        }
        if known.insert(word.clone()) {
            tokens.push(word);
        }
    }
    tokens.truncate(size);
    tokens.into_iter().zip(0..).collect()
}

/// A tokenizer of `size` tokens that cuts a text into words.
///
/// # Panics
/// Never: the parts are known to be valid.
pub fn byte_level<I: Id>(size: usize, seed: u64) -> Tokenizer<I> {
    let loaded = anydraft_hf::from_tiktoken(ranks(size, seed), Vec::new(), PATTERN);
    loaded.expect("a valid vocabulary").tokenizer.retype()
}

/// A tokenizer of about `size` tokens with byte fallback that sees a text as one piece.
///
/// # Panics
/// Never: the parts are known to be valid.
pub fn sentencepiece<I: Id>(size: usize, seed: u64) -> Tokenizer<I> {
    let words: Vec<String> = ranks(size, seed)
        .into_iter()
        .filter_map(|(token, _)| Some(String::from_utf8(token).ok()?.replace(' ', "▁")))
        .collect();
    let known: HashSet<&str> = words.iter().map(String::as_str).collect();
    let merges: Vec<_> = words
        .iter()
        .flat_map(|word| word.char_indices().skip(1).map(|(at, _)| word.split_at(at)))
        .filter(|(left, right)| known.contains(left) && known.contains(right))
        .collect();
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    let vocab: serde_json::Map<String, _> =
        bytes.chain(words.iter().cloned()).zip(0u32..).map(|(token, id)| (token, json!(id))).collect();
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let text = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let decoders = [text, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    let file = json!({
        "version": "1.0", "added_tokens": [], "normalizer": space, "pre_tokenizer": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": true, "fuse_unk": true},
    });
    anydraft_hf::from_json(&file.to_string()).expect("a valid tokenizer").tokenizer.retype()
}

/// About `bytes` bytes of words, numbers and signs.
pub fn text(bytes: usize, seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut out = String::with_capacity(bytes + 16);
    while out.len() < bytes {
        match random.below(12) {
            0 => out.push_str(".\n\n"),
            1 => write!(out, " {}", random.below(100_000)).expect("strings take everything"),
            2 => out.push_str(" (x == y)"),
            _ => {
                out.push(' ');
                for _ in 0..=random.below(4) {
                    let [onset, vowel] = syllable(&mut random);
                    out.extend([char::from(onset), char::from(vowel)]);
                }
            }
        }
    }
    out
}

/// The stretches of a long text, one after the other, so that no cache knows the next one.
pub fn stretches(bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let text = text(1 << 22, 7).into_bytes();
    let all: Vec<Vec<u8>> = text.chunks_exact(bytes).map(<[u8]>::to_vec).collect();
    all.into_iter().cycle()
}
