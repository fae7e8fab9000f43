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
//! In both cases no added token may reach over the start, so the tail is at least that long. Where a long
//! run of like characters ends the text, a tail in pieces would be as long: see `within_run`.

use crate::encode::{Piece, Restart, Tokenizer};
use crate::id::{Id, TokenId};
use crate::spans;
use crate::splice::{Splice, common_prefix};
use crate::utf8;
use crate::vocab::{Kind, Vocab};
use run::{Run, settled};

mod run;
mod within_run;

/// Further pieces after which a piece is settled.
const SETTLING_PIECES: usize = 2;
/// Tokens that the second attempt goes back where a seam does not hold; doubled for each further one.
const STEP_BACK: usize = 4;

#[derive(Clone, Copy)]
struct Token {
    id: TokenId,
    end: usize,
    starts: bool,
    plain: bool,
}

/// The piece that a token belongs to.
#[derive(Clone, Copy)]
struct Place {
    /// Its first token.
    head: u32,
    /// [`Piece::plain`].
    plain: bool,
}

/// A text and its encoding, both growing and shrinking at the end.
#[derive(Clone)]
pub struct Retokenizer<I: Id> {
    tokenizer: Tokenizer<I>,
    text: Vec<u8>,
    ids: Vec<I>,
    ends: Vec<usize>,
    places: Vec<Place>,
    run: Run,
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
            places: Vec::new(),
            run: Run::default(),
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
        let tokenizer = self.tokenizer.clone();
        let long = tokenizer.encoder().long_pieces();
        if let Some(long) = long {
            self.run.truncate(&self.text, keep, long);
        }
        let mut cut = self.cut(keep);
        self.text.truncate(keep);
        self.text.extend_from_slice(append);
        match long.and_then(|long| self.within_run(cut, long)) {
            Some(later) => cut = later,
            None => cut = self.encode_from_seam(cut),
        }
        if let Some(long) = long {
            self.run.extend(&self.text, long);
        }
        let fresh = std::mem::take(&mut self.fresh);
        let new: Vec<I> = fresh.iter().map(|token| I::new(token.id.raw())).collect();
        let same = common_prefix(&self.ids[cut..], &new);
        self.ids.truncate(cut + same);
        self.ends.truncate(cut);
        self.places.truncate(cut);
        self.ids.extend_from_slice(&new[same..]);
        self.ends.extend(fresh.iter().map(|token| token.end));
        for token in &fresh {
            let index = self.places.len() as u32;
            let head = if token.starts { index } else { self.places.last().map_or(index, |last| last.head) };
            self.places.push(Place { head, plain: token.plain });
        }
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
                let reach = reach.min(settled(&self.text[..keep], &self.run));
                let (mut cut, mut pieces) = (spans::whole_tokens(&self.ends, keep), 0);
                while cut > 0 {
                    cut = self.head(cut - 1);
                    if pieces >= SETTLING_PIECES && self.begin(cut) <= reach {
                        return self.at_character(cut);
                    }
                    pieces += 1;
                }
                0
            }
        }
    }

    /// The first token of the piece that token `index` belongs to.
    fn head(&self, index: usize) -> usize {
        self.places[index].head as usize
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

    /// Encodes the text into `fresh` from token `cut` on, or from the first before it where the seam holds.
    fn encode_from_seam(&mut self, mut cut: usize) -> usize {
        let mut step = STEP_BACK;
        while !self.encode_from(cut) {
            cut = self.at_character(cut.saturating_sub(step));
            step *= 2;
        }
        cut
    }

    /// Encodes the text from token `cut` on into `fresh`; tells whether the seam holds.
    fn encode_from(&mut self, cut: usize) -> bool {
        let base = self.begin(cut);
        self.fresh.clear();
        encode(&self.tokenizer, &self.text[base..], base, &mut self.pieces, &mut self.fresh);
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

/// Encodes `bytes`, which stand at `base`, into `out`; `pieces` is room to work in.
fn encode<I: Id>(
    tokenizer: &Tokenizer<I>,
    bytes: &[u8],
    mut base: usize,
    pieces: &mut Vec<Piece>,
    out: &mut Vec<Token>,
) {
    for run in utf8::runs(bytes) {
        pieces.clear();
        let run = match run {
            utf8::Run::Text(text) => {
                tokenizer.encoder().encode(text, pieces);
                text.as_bytes()
            }
            utf8::Run::Bytes(raw) => {
                let ids = tokenizer.vocab().spell(raw).unwrap_or_default();
                pieces.extend(ids.iter().enumerate().map(|(at, id)| Piece {
                    id: TokenId::new(id.raw()),
                    starts: at == 0,
                    plain: false,
                }));
                raw
            }
        };
        spread(tokenizer.vocab(), pieces, run, base, out);
        base += run.len();
    }
}

/// Places encoded pieces in the run of text that begins at `base`; what the vocabulary cannot write
/// leaves holes between them.
fn spread<I: Id>(vocab: &Vocab<I>, pieces: &[Piece], run: &[u8], base: usize, out: &mut Vec<Token>) {
    let mut end = 0;
    for piece in pieces {
        let bytes = vocab.bytes(I::new(piece.id.raw()));
        while end < run.len() && !run[end..].starts_with(bytes) {
            end += 1;
        }
        end += bytes.len();
        out.push(Token { id: piece.id, end: base + end, starts: piece.starts, plain: piece.plain });
    }
}
