//! What the core asks of an encoder, and a tokenizer as the core sees it.

use std::sync::Arc;

use crate::id::{Id, TokenId};
use crate::utf8::{self, Run};
use crate::vocab::Vocab;

/// One token of an encoded text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The token.
    pub id: TokenId,
    /// Whether the pre-tokenizer (or an added token) starts a new piece here.
    pub starts: bool,
    /// Whether its piece is nothing but byte-pair merging, so that it may be encoded in part ([`LongPieces`]).
    pub plain: bool,
}

/// Where an encoding may be restarted without changing what comes after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// At any seam whose two tokens, taken as one text, encode to themselves: byte-pair encoders
    /// that see the whole text as one piece.
    Seams,
    /// At the start of a pre-token that is far enough from the end of the text.
    Pieces,
    /// Nowhere: the whole text is encoded again.
    Never,
}

/// What it takes to encode a long piece in part: byte-pair merging behind a pre-tokenizer for which a long
/// run of like characters is as good as a longer one.
pub trait LongPieces: Send + Sync {
    /// What cutting a text depends on: characters of one class are cut alike.
    fn class(&self, character: char) -> u64;
    /// Take a run of characters of one class, and a place in it with this many of them on both sides.
    /// Putting more of the class there, or taking some away but these, changes no cut but by moving it along.
    fn margin(&self) -> usize;
    /// Appends what merging makes of a text without cutting it; whether its tokens are exactly the text's.
    fn merge(&self, text: &str, out: &mut Vec<Piece>) -> bool;
}

/// Turns text into ids whose bytes are exactly the bytes of the text.
///
/// Special tokens are never produced: a text that *looks* like a special token is encoded as the
/// ordinary text it is. No dummy prefix is added.
pub trait Encode: Send + Sync {
    /// Appends the encoding of `text` to `out`. A character that the vocabulary cannot write is left out.
    fn encode(&self, text: &str, out: &mut Vec<Piece>);
    /// How this encoder can be restarted.
    fn restart(&self) -> Restart;
    /// Whether a byte-fallback token never merges with a neighbour, so that every character written with such
    /// tokens has good seams on both sides.
    fn lone_bytes(&self) -> bool {
        false
    }
    /// The length in bytes of the longest added token that plain text can match; 0 if there is none.
    fn longest_added(&self) -> usize;
    /// How its long pieces are encoded in part; `None` where nothing proves that they can be.
    fn long_pieces(&self) -> Option<&dyn LongPieces> {
        None
    }
}

/// A vocabulary with the encoder that belongs to it.
#[derive(Clone)]
pub struct Tokenizer<I: Id = TokenId> {
    vocab: Vocab<I>,
    encoder: Arc<dyn Encode>,
}

impl<I: Id> Tokenizer<I> {
    /// Joins a vocabulary and its encoder.
    pub fn new(vocab: Vocab<I>, encoder: Arc<dyn Encode>) -> Self {
        Self { vocab, encoder }
    }

    /// The vocabulary.
    pub fn vocab(&self) -> &Vocab<I> {
        &self.vocab
    }

    /// The encoder.
    pub fn encoder(&self) -> &dyn Encode {
        &*self.encoder
    }

    /// The same tokenizer in another role.
    #[must_use]
    pub fn retype<J: Id>(&self) -> Tokenizer<J> {
        Tokenizer { vocab: self.vocab.retype(), encoder: Arc::clone(&self.encoder) }
    }

    /// Encodes any bytes: valid UTF-8 through the encoder, other bytes by the vocabulary's byte
    /// tokens. Returns `None` if something cannot be written.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Option<Vec<I>> {
        let mut pieces = Vec::new();
        for run in utf8::runs(bytes) {
            match run {
                Run::Text(text) => self.encoder.encode(text, &mut pieces),
                Run::Bytes(raw) => {
                    let spelled = self.vocab.spell(raw)?;
                    pieces.extend(spelled.iter().map(|id| Piece {
                        id: TokenId::new(id.raw()),
                        starts: true,
                        plain: false,
                    }));
                }
            }
        }
        let ids: Vec<I> = pieces.iter().map(|piece| I::new(piece.id.raw())).collect();
        let written: usize = ids.iter().map(|&id| self.vocab.bytes(id).len()).sum();
        (written == bytes.len()).then_some(ids)
    }
}
