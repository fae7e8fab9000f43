//! Small slow encoders over all 256 byte tokens, and texts that hurt.
#![allow(dead_code, missing_docs)] // each test file uses its part

use std::sync::Arc;

use anydraft_core::encode::{Encode, LongPieces, Piece, Restart, Tokenizer};
use anydraft_core::id::{Id, TokenId};
use anydraft_core::vocab::{Kind, VocabBuilder};
use proptest::prelude::*;

/// Byte-pair encoding in rank order, leftmost first; pre-tokenized or not.
pub struct ToyBpe {
    tokens: Vec<Vec<u8>>,
    merges: Vec<(usize, usize, usize)>,
    added: Vec<usize>,
    words: bool,
    /// A character whose first byte has no token; all that begin with it are left out.
    gap: Option<char>,
}

fn first_byte(c: char) -> u8 {
    c.encode_utf8(&mut [0; 4]).as_bytes()[0]
}

impl ToyBpe {
    fn word(&self, text: &str, out: &mut Vec<Piece>) {
        let mark = out.len();
        for part in text.split(|c| self.lacks(c)) {
            self.bpe(part.as_bytes(), out);
        }
        let plain = self.words && !text.contains(|c| self.lacks(c));
        out[mark..].iter_mut().for_each(|piece| piece.plain = plain);
    }

    fn lacks(&self, c: char) -> bool {
        self.gap.is_some_and(|gap| first_byte(gap) == first_byte(c))
    }

    fn bpe(&self, bytes: &[u8], out: &mut Vec<Piece>) {
        let mut symbols: Vec<usize> = bytes.iter().map(|&byte| usize::from(byte)).collect();
        loop {
            let best = symbols
                .windows(2)
                .enumerate()
                .filter_map(|(at, pair)| {
                    let rank = self.merges.iter().position(|&(a, b, _)| pair == [a, b])?;
                    Some((rank, at))
                })
                .min();
            let Some((rank, at)) = best else { break };
            symbols.splice(at..at + 2, [self.merges[rank].2]);
        }
        let first = out.len();
        out.extend(symbols.iter().map(|&id| Piece {
            id: TokenId::new(id as u32),
            starts: false,
            plain: false,
        }));
        if let Some(piece) = out.get_mut(first) {
            piece.starts = true;
        }
    }

    fn plain(&self, text: &str, out: &mut Vec<Piece>) {
        if self.words {
            for word in words(text) {
                self.word(word, out);
            }
        } else {
            self.word(text, out);
        }
    }
}

impl Encode for ToyBpe {
    fn encode(&self, text: &str, out: &mut Vec<Piece>) {
        let (mut from, mut at) = (0, 0);
        while at < text.len() {
            let rest = &text.as_bytes()[at..];
            let hit = self
                .added
                .iter()
                .filter(|&&id| rest.starts_with(&self.tokens[id]))
                .max_by_key(|&&id| self.tokens[id].len());
            if let Some(&id) = hit {
                self.plain(&text[from..at], out);
                out.push(Piece { id: TokenId::new(id as u32), starts: true, plain: false });
                at += self.tokens[id].len();
                from = at;
            } else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        self.plain(&text[from..], out);
    }

    fn restart(&self) -> Restart {
        if self.words { Restart::Pieces } else { Restart::Seams }
    }

    fn longest_added(&self) -> usize {
        self.added.iter().map(|&id| self.tokens[id].len()).max().unwrap_or(0)
    }

    fn long_pieces(&self) -> Option<&dyn LongPieces> {
        self.words.then_some(self)
    }
}

impl LongPieces for ToyBpe {
    fn class(&self, c: char) -> u64 {
        let begins = |&id: &usize| self.tokens[id].starts_with(c.encode_utf8(&mut [0; 4]).as_bytes());
        match c {
            '\'' | ' ' | '\n' => u64::from(u32::from(c)),
            _ if self.added.iter().any(begins) => u64::from(u32::from(c)),
            _ if c.is_whitespace() => 1,
            _ if c.is_alphabetic() => 2,
            _ if c.is_numeric() => 3,
            _ => 4,
        }
    }

    fn margin(&self) -> usize {
        5
    }

    fn merge(&self, text: &str, out: &mut Vec<Piece>) -> bool {
        self.bpe(text.as_bytes(), out);
        !text.contains(|c| self.lacks(c))
    }
}

/// A pre-tokenizer in the manner of GPT-2 and its successors: contractions, words with one space,
/// up to three digits, signs with trailing newlines, and the whitespace rules with their look-ahead.
fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let body = if first == ' ' { &rest[1..] } else { rest };
        let run =
            |s: &str, test: fn(char) -> bool| s.chars().take_while(|&c| test(c)).map(char::len_utf8).sum();
        let lead = rest.len() - body.len();
        let letters: usize = run(body, char::is_alphabetic);
        let signs: usize = run(body, |c| !c.is_alphanumeric() && !c.is_whitespace());
        let spaces: usize = run(rest, char::is_whitespace);
        let len = if let Some(hit) = ["'s", "'ll"].iter().find(|hit| rest.starts_with(**hit)) {
            hit.len()
        } else if letters > 0 {
            lead + letters
        } else if first.is_numeric() {
            rest.chars().take_while(|c| c.is_numeric()).take(3).map(char::len_utf8).sum()
        } else if signs > 0 {
            lead + signs + run(&body[signs..], |c| c == '\n')
        } else if let Some(newline) = rest[..spaces].rfind('\n') {
            newline + 1
        } else if spaces == rest.len() || spaces == first.len_utf8() {
            spaces
        } else {
            let last = rest[..spaces].chars().next_back().map_or(0, char::len_utf8);
            spaces - last
        };
        let (word, tail) = rest.split_at(len);
        found.push(word);
        rest = tail;
    }
    found
}

/// A tokenizer with all byte tokens, these merges (indices into the tokens so far) and added tokens.
pub fn tokenizer<I: Id>(
    merges: &[(prop::sample::Index, prop::sample::Index)],
    added: &[&str],
    words: bool,
) -> Tokenizer<I> {
    tokenizer_with_gap(merges, added, words, None)
}

/// The same without a token for the first byte of one character.
pub fn tokenizer_with_gap<I: Id>(
    merges: &[(prop::sample::Index, prop::sample::Index)],
    added: &[&str],
    words: bool,
    gap: Option<char>,
) -> Tokenizer<I> {
    let missing = gap.map(first_byte);
    let mut builder = VocabBuilder::new();
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let alphabet: Vec<usize> =
        b"aaabbb<'1\n-".iter().map(|&byte| usize::from(byte)).chain("é😀".bytes().map(usize::from)).collect();
    let mut pool = alphabet;
    let mut rules: Vec<(usize, usize, usize)> = Vec::new();
    for (a, b) in merges {
        let (a, b) = (*a.get(&pool), *b.get(&pool));
        if rules.iter().any(|rule| (rule.0, rule.1) == (a, b)) {
            continue;
        }
        let joined = [&tokens[a][..], &tokens[b][..]].concat();
        let id = tokens.iter().position(|token| *token == joined).unwrap_or_else(|| {
            tokens.push(joined);
            pool.push(tokens.len() - 1);
            tokens.len() - 1
        });
        rules.push((a, b, id));
    }
    let mut added_ids = Vec::new();
    for text in added {
        if !tokens.iter().any(|token| token == text.as_bytes()) {
            added_ids.push(tokens.len());
            tokens.push(text.as_bytes().to_vec());
        }
    }
    for (id, bytes) in tokens.iter().enumerate().filter(|(id, _)| Some(*id) != missing.map(usize::from)) {
        let kind = if added_ids.contains(&id) { Kind::Added } else { Kind::Text };
        builder.token(id as u32, kind, bytes.clone()).unwrap();
    }
    builder.special(tokens.len() as u32, "<end>".to_owned()).unwrap();
    let vocab = builder.build().unwrap();
    Tokenizer::new(vocab, Arc::new(ToyBpe { tokens, merges: rules, added: added_ids, words, gap }))
}

/// Merge rules, as picks from the tokens so far.
pub type Merges = Vec<(prop::sample::Index, prop::sample::Index)>;

/// Merges for [`tokenizer`].
pub fn merges() -> impl Strategy<Value = Merges> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..24)
}

/// Added tokens, some of them made of ordinary pieces.
pub const ADDED: &[&str] = &["\n\n", "\n\n\n", "<b>", "ab1-"];

/// Text over a small alphabet where tokens meet in every way.
pub fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a", "b", "ab", "ba", "bba", "aabab", "ab1", "1-", " ", "  ", "\n", "1", "12", "'", "'l", "l", "s",
        "-", "<", "b>", "é", "😀", "\u{301}",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

/// Letters that pre-tokenizers take as alike, and others.
pub const ALIKE: &[&str] =
    &["b", "ab", "aab", "abb", "abbé", "é世", "😀b", " ", "\n", "1", "12", "-", "-<", "\u{a0}"];

/// A run of such characters in some order.
pub fn run(alike: &'static str, length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let characters = prop::sample::select(alike.chars().collect::<Vec<_>>());
    prop::collection::vec(characters, length).prop_map(String::from_iter)
}

/// Bytes that are mostly text.
pub fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => text().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => (text(), 0..4usize).prop_map(|(text, cut)| {
            let bytes = text.into_bytes();
            bytes[..bytes.len().saturating_sub(cut)].to_vec()
        }),
    ]
}
