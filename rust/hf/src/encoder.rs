//! Text to ids whose bytes are exactly the text.

use std::borrow::Cow;

use anydraft_core::encode::{Encode, LongPieces, Piece, Restart};
use anydraft_core::id::{Id, TokenId};
use anydraft_core::vocab::{Kind, Vocab};
use tokenizers::{
    Model as _, ModelWrapper, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer as _, PreTokenizerWrapper,
};

use crate::alike::Alike;
use crate::cut::{self, Cut, Stage};
use crate::special::{Chunk, Matcher};
use crate::surface::Surface;
use crate::{byte_fallback, byte_level};

/// Encodes as the tokenizer itself does, with four differences: special tokens are never produced, no
/// dummy prefix is added, no Unicode normal form is taken, and a literal `▁` in a `SentencePiece` style
/// tokenizer is spelled by its byte tokens instead of becoming a space.
///
/// The bytes of every piece are compared with the text. Where they differ (an unknown character, a token
/// with another meaning) the characters concerned are spelled by byte tokens; a character that has no
/// spelling at all is left out, as the tokenizers themselves do. `Loaded::missing_bytes` says which
/// bytes those are.
pub(crate) struct Encoder {
    pub vocab: Vocab<TokenId>,
    pub matcher: Matcher,
    pub model: ModelWrapper,
    pub surface: Surface,
    pub cut: Cut,
    pub restart: Restart,
    pub lone_bytes: bool,
    /// Characters that are cut alike, if pieces are nothing but byte-pair merging.
    pub alike: Option<Alike>,
}

impl Encode for Encoder {
    fn encode(&self, text: &str, out: &mut Vec<Piece>) {
        self.matcher.each(text, &mut |chunk| match chunk {
            Chunk::Added(id) => out.push(Piece { id: TokenId::new(id), starts: true, plain: false }),
            Chunk::Text(text) => self.text(text, out),
        });
    }

    fn restart(&self) -> Restart {
        self.restart
    }

    fn lone_bytes(&self) -> bool {
        self.lone_bytes
    }

    fn longest_added(&self) -> usize {
        self.matcher.longest()
    }

    fn long_pieces(&self) -> Option<&dyn LongPieces> {
        self.alike.is_some().then_some(self)
    }
}

impl LongPieces for Encoder {
    fn class(&self, character: char) -> u64 {
        self.alike.as_ref().map_or(0, |alike| alike.class(character))
    }

    fn margin(&self) -> usize {
        self.alike.as_ref().map_or(0, |alike| alike.margin)
    }

    fn merge(&self, text: &str, out: &mut Vec<Piece>) -> bool {
        self.try_piece(text, &self.written(text), out)
    }
}

impl Encoder {
    /// Text without added tokens.
    fn text(&self, text: &str, out: &mut Vec<Piece>) {
        if self.surface == Surface::ByteLevel {
            return self.run(text, out);
        }
        let mut rest = text;
        while let Some(at) = rest.find(byte_fallback::SPACE) {
            let (before, found) = rest.split_at(at);
            let (literal, after) = found.split_at(byte_fallback::SPACE.len_utf8());
            self.run(before, out);
            let mark = out.len();
            self.spell(literal, out);
            start(out, mark);
            rest = after;
        }
        self.run(rest, out);
    }

    /// Text that is all the tokenizer's own.
    fn run(&self, text: &str, out: &mut Vec<Piece>) {
        if text.is_empty() {
            return;
        }
        let mark = out.len();
        let done = match &self.cut {
            Cut::Whole => {
                self.piece(text, &self.written(text), out);
                true
            }
            Cut::Stages(stages) => self.staged(stages, text, out).is_ok(),
            Cut::Foreign(normalizer, pre) => {
                self.foreign(normalizer.as_ref(), pre.as_ref(), text, out).is_ok_and(|whole| whole)
            }
        };
        if !done {
            out.truncate(mark);
            self.careful(text, out);
            start(out, mark);
        }
    }

    fn staged(&self, stages: &[Stage], text: &str, out: &mut Vec<Piece>) -> tokenizers::Result<()> {
        let mut written = String::new();
        cut::each(stages, text, &mut |piece| {
            written.clear();
            byte_level::write(piece.as_bytes(), &mut written);
            self.piece(piece, &written, out);
        })
    }

    /// Whether the pieces of the `tokenizers` crate cover the text one after the other.
    fn foreign(
        &self,
        normalizer: Option<&NormalizerWrapper>,
        pre: Option<&PreTokenizerWrapper>,
        text: &str,
        out: &mut Vec<Piece>,
    ) -> tokenizers::Result<bool> {
        let mut cut = PreTokenizedString::from(text);
        if let Some(normalizer) = normalizer {
            cut.normalize(|piece| tokenizers::Normalizer::normalize(normalizer, piece))?;
        }
        if let Some(pre) = pre {
            pre.pre_tokenize(&mut cut)?;
        }
        let mut done = 0;
        for (written, (from, to), _) in cut.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if from != done {
                return Ok(false);
            }
            self.piece(&text[from..to], written, out);
            done = to;
        }
        Ok(done == text.len())
    }

    /// One piece: its text, and how the tokenizer writes it.
    fn piece(&self, text: &str, written: &str, out: &mut Vec<Piece>) {
        let mark = out.len();
        if self.try_piece(text, written, out) {
            let plain = self.alike.is_some();
            out[mark..].iter_mut().for_each(|piece| piece.plain = plain);
        } else {
            out.truncate(mark);
            self.careful(text, out);
        }
        start(out, mark);
    }

    /// Whether the model's tokens stand for exactly this text.
    fn try_piece(&self, text: &str, written: &str, out: &mut Vec<Piece>) -> bool {
        let Ok(tokens) = self.model.tokenize(written) else { return false };
        let mut rest = text.as_bytes();
        for token in tokens {
            let id = TokenId::new(token.id);
            let bytes = self.vocab.bytes(id);
            match rest.strip_prefix(bytes) {
                Some(after) if !bytes.is_empty() => rest = after,
                _ => return false,
            }
            out.push(Piece { id, starts: false, plain: false });
        }
        rest.is_empty()
    }

    /// A piece that has characters without a token: what lies between them goes through the model.
    fn careful(&self, text: &str, out: &mut Vec<Piece>) {
        let mut scratch = Vec::new();
        let mut known = 0;
        for (at, c) in text.char_indices() {
            let end = at + c.len_utf8();
            scratch.clear();
            if !self.try_piece(&text[at..end], &self.written(&text[at..end]), &mut scratch) {
                self.known(&text[known..at], out);
                self.spell(&text[at..end], out);
                known = end;
            }
        }
        self.known(&text[known..], out);
    }

    fn known(&self, text: &str, out: &mut Vec<Piece>) {
        let mark = out.len();
        if !text.is_empty() && !self.try_piece(text, &self.written(text), out) {
            out.truncate(mark);
            for (at, c) in text.char_indices() {
                self.spell(&text[at..at + c.len_utf8()], out);
            }
        }
    }

    /// One character, by a token of its own or by byte tokens; nothing if it has neither.
    fn spell(&self, character: &str, out: &mut Vec<Piece>) {
        if let Some(ids) = self.vocab.spell(character.as_bytes()) {
            debug_assert!(ids.iter().all(|&id| self.vocab.kind(id) != Kind::Special));
            out.extend(ids.into_iter().map(|id| Piece { id, starts: false, plain: false }));
        }
    }

    /// How the tokenizer writes a text.
    fn written<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = String::with_capacity(text.len() * 2);
        match self.surface {
            Surface::ByteLevel => byte_level::write(text.as_bytes(), &mut out),
            Surface::SentencePiece if !text.contains(' ') => return Cow::Borrowed(text),
            Surface::SentencePiece => byte_fallback::write(text, &mut out),
        }
        Cow::Owned(out)
    }
}

/// Marks the first of the pieces from `mark` on.
fn start(out: &mut [Piece], mark: usize) {
    if let Some(first) = out.get_mut(mark) {
        first.starts = true;
    }
}
