//! Text to ids, piece by piece: always the ids that encoding the whole text would give.
//!
//! A change re-encodes only a tail. The tail starts at a token boundary that provably (`Seams`) or by
//! the shape of pre-tokenizers (`Pieces`) is a boundary of the new whole encoding too:
//!
//! - **Seams.** A sequence of byte-pair tokens is the encoding of its text exactly when every pair of
//!   neighbours is the encoding of its own. So a tail can start at any boundary whose seam passes
//!   that test; if it fails, the tail starts further back.
//! - **Pieces.** Pre-tokenizers scan from left to right and look ahead within a run of similar
//!   characters. A piece that is followed by others and by several changes between space, letter,
//!   digit and sign is settled: later text cannot move its start.
//!
//! In both cases no added token may reach over the start, so the tail is at least that long.

use crate::encode::{Piece, Restart, Tokenizer};
use crate::id::{Id, TokenId};
use crate::spans;
use crate::splice::{Splice, common_prefix};
use crate::utf8::{self, Run};
use crate::vocab::Kind;

/// Changes between space, letter, digit and sign after which a piece is settled.
const SETTLING_CHANGES: usize = 3;
/// Further pieces after which a piece is settled.
const SETTLING_PIECES: usize = 2;
/// Tokens that the second attempt goes back where a seam does not hold; doubled for each further one.
const STEP_BACK: usize = 4;

#[derive(Clone, Copy)]
struct Token {
    id: TokenId,
    end: usize,
    starts: bool,
}

/// A text and its encoding, both growing and shrinking at the end.
#[derive(Clone)]
pub struct Retokenizer<I: Id> {
    tokenizer: Tokenizer<I>,
    text: Vec<u8>,
    ids: Vec<I>,
    ends: Vec<usize>,
    starts: Vec<bool>,
    fresh: Vec<Token>,
    pieces: Vec<Piece>,
}

impl<I: Id> Retokenizer<I> {
    /// An empty text.
    pub fn new(tokenizer: Tokenizer<I>) -> Self {
        Self {
            tokenizer,
            text: Vec::new(),
            ids: Vec::new(),
            ends: Vec::new(),
            starts: Vec::new(),
            fresh: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// The text, as bytes.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The encoding of the text. Bytes that are no text (yet) stand as byte tokens; bytes that the
    /// vocabulary cannot write are left out.
    pub fn ids(&self) -> &[I] {
        &self.ids
    }

    /// Where each token ends in the text.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Splice<I> {
        self.replace_tail(self.text.len(), bytes)
    }

    /// Keeps the first `len` bytes.
    pub fn truncate(&mut self, len: usize) -> Splice<I> {
        self.replace_tail(len.min(self.text.len()), &[])
    }

    /// Keeps the first `keep` bytes (at most all) and appends others; returns the change of the ids.
    /// The cost grows with the bytes that change, not with the text.
    pub fn replace_tail(&mut self, keep: usize, append: &[u8]) -> Splice<I> {
        let keep = keep.min(self.text.len());
        if append.is_empty() && keep == self.text.len() {
            return Splice { keep: self.ids.len(), append: Vec::new() };
        }
        let mut cut = self.cut(keep);
        self.text.truncate(keep);
        self.text.extend_from_slice(append);
        let mut step = STEP_BACK;
        while !self.encode_from(cut) {
            cut = self.at_character(cut.saturating_sub(step));
            step *= 2;
        }
        let fresh = std::mem::take(&mut self.fresh);
        let new: Vec<I> = fresh.iter().map(|token| I::new(token.id.raw())).collect();
        let same = common_prefix(&self.ids[cut..], &new);
        self.ids.truncate(cut + same);
        self.ends.truncate(cut);
        self.starts.truncate(cut);
        self.ids.extend_from_slice(&new[same..]);
        self.ends.extend(fresh.iter().map(|token| token.end));
        self.starts.extend(fresh.iter().map(|token| token.starts));
        self.fresh = fresh;
        Splice { keep: cut + same, append: new[same..].to_vec() }
    }

    /// The first token to encode again when `keep` bytes of the present text stay.
    fn cut(&self, keep: usize) -> usize {
        let reach = keep.saturating_sub(self.tokenizer.encoder().longest_added());
        match self.tokenizer.encoder().restart() {
            Restart::Never => 0,
            Restart::Seams => {
                let whole = spans::whole_tokens(&self.ends, reach);
                self.at_character(whole.saturating_sub(1))
            }
            Restart::Pieces => {
                let reach = reach.min(settled(&self.text[..keep]));
                let (mut cut, mut pieces) = (spans::whole_tokens(&self.ends, keep), 0);
                while cut > 0 {
                    cut -= 1;
                    if !self.starts[cut] {
                        continue;
                    }
                    if pieces >= SETTLING_PIECES && self.begin(cut) <= reach {
                        return self.at_character(cut);
                    }
                    pieces += 1;
                }
                0
            }
        }
    }

    /// Where token `index` begins: the end of the one before it.
    fn begin(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }

    /// The last token boundary at or before token `index` that is at a character of valid text.
    fn at_character(&self, mut index: usize) -> usize {
        while index > 0 {
            let begin = self.begin(index);
            let left = &self.text[begin.saturating_sub(4)..begin];
            let whole = self.text.get(begin).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
            if whole && utf8::pending(left) == 0 && left.last().is_none_or(|&byte| byte < 0xF8) {
                return index;
            }
            index -= 1;
        }
        0
    }

    /// Encodes the text from token `cut` on into `fresh`; tells whether the seam holds.
    fn encode_from(&mut self, cut: usize) -> bool {
        self.fresh.clear();
        let mut base = self.begin(cut);
        for run in utf8::runs(&self.text[base..]) {
            self.pieces.clear();
            match run {
                Run::Text(text) => {
                    self.tokenizer.encoder().encode(text, &mut self.pieces);
                    spread(&self.tokenizer, &self.pieces, text.as_bytes(), base, &mut self.fresh);
                    base += text.len();
                }
                Run::Bytes(raw) => {
                    let ids = self.tokenizer.vocab().spell(raw).unwrap_or_default();
                    let first = ids.first().copied();
                    self.pieces.extend(
                        ids.iter().map(|&id| Piece { id: TokenId::new(id.raw()), starts: Some(id) == first }),
                    );
                    spread(&self.tokenizer, &self.pieces, raw, base, &mut self.fresh);
                    base += raw.len();
                }
            }
        }
        cut == 0 || self.tokenizer.encoder().restart() != Restart::Seams || self.seam_holds(cut)
    }

    fn seam_holds(&mut self, cut: usize) -> bool {
        let Some(right) = self.fresh.first().map(|token| token.id) else { return true };
        let left = TokenId::new(self.ids[cut - 1].raw());
        let vocab = self.tokenizer.vocab();
        let is_byte = |id: TokenId| vocab.kind(I::new(id.raw())) == Kind::Byte;
        if self.tokenizer.encoder().lone_bytes() && (is_byte(left) || is_byte(right)) {
            return true; // the cut is at a character, and a character in bytes stands alone
        }
        let both = [vocab.bytes(I::new(left.raw())), vocab.bytes(I::new(right.raw()))].concat();
        let Ok(text) = std::str::from_utf8(&both) else { return false };
        self.pieces.clear();
        self.tokenizer.encoder().encode(text, &mut self.pieces);
        matches!(self.pieces[..], [a, b] if a.id == left && b.id == right)
    }
}

/// Places encoded pieces in the run of text that begins at `base`; what the vocabulary cannot write
/// leaves holes between them.
fn spread<I: Id>(tokenizer: &Tokenizer<I>, pieces: &[Piece], run: &[u8], base: usize, out: &mut Vec<Token>) {
    let mut end = 0;
    for piece in pieces {
        let bytes = tokenizer.vocab().bytes(I::new(piece.id.raw()));
        while end < run.len() && !run[end..].starts_with(bytes) {
            end += 1;
        }
        end += bytes.len();
        out.push(Token { id: piece.id, end: base + end, starts: piece.starts });
    }
}

#[derive(PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Digit,
    Sign,
}

/// The largest offset after which the text changes its character class often enough to settle a
/// piece that begins there. O(length of the last few runs).
fn settled(text: &[u8]) -> usize {
    let mut changes = 0;
    let mut last: Option<Class> = None;
    let mut offset = text.len();
    while offset > 0 {
        let mut begin = offset - 1;
        while begin > 0 && offset - begin < 4 && text[begin] & 0b1100_0000 == 0b1000_0000 {
            begin -= 1;
        }
        let class = match std::str::from_utf8(&text[begin..offset]).ok().and_then(|s| s.chars().next()) {
            Some(c) if c.is_whitespace() => Class::Space,
            Some(c) if c.is_alphabetic() => Class::Letter,
            Some(c) if c.is_numeric() => Class::Digit,
            _ => Class::Sign,
        };
        if last.as_ref().is_some_and(|last| *last != class) {
            changes += 1;
        }
        if changes >= SETTLING_CHANGES {
            return begin;
        }
        last = Some(class);
        offset = begin;
    }
    0
}
