//! A change at the end of a long run of like characters, at the cost of the change.
//!
//! How a text is cut does not depend on how long such a run is ([`LongPieces::margin`]). So the text is
//! encoded with most of the run left out, which shows where pieces begin and end in the whole text. Then
//!
//! - either one piece covers what was left out. Its tokens stay up to a seam that holds, by the rule for
//!   byte-pair encodings; what follows the seam is merged, and the pieces after it are those of the short text;
//! - or the run is cut into short pieces. Where the first of them are those of the present encoding, all are
//!   until near the run's end, and the tail starts at one of them.
//!
//! Anything else is encoded as usual.

use super::{Retokenizer, STEP_BACK, Token, encode, spread};
use crate::encode::LongPieces;
use crate::id::Id;
use crate::spans;
use crate::utf8;

/// A run is shortened if this many bytes are saved.
const WORTHWHILE: usize = 256;

/// A text with a hole in a run: all offsets are those of the whole text.
struct Shortened {
    base: usize,
    /// From here on a piece's end says what pieces do in the midst of the run.
    settled: usize,
    hole: std::ops::Range<usize>,
    /// Up to here they do.
    unsettled: usize,
}

impl Shortened {
    /// Of the text from `base` on, or `None` if that saves too little. `margin` is in bytes.
    fn new(text: &[u8], base: usize, run: std::ops::Range<usize>, margin: usize) -> Option<Self> {
        let start = run.start.max(base);
        let hole = utf8::floor(text, start + 3 * margin)..utf8::floor(text, run.end.checked_sub(2 * margin)?);
        let (settled, unsettled) = (start + margin, hole.end + margin);
        (hole.start + WORTHWHILE <= hole.end).then_some(Self { base, settled, hole, unsettled })
    }

    /// An offset of the shortened text in the whole one.
    fn whole(&self, offset: usize) -> usize {
        let at = self.base + offset;
        if at <= self.hole.start { at } else { at + self.hole.len() }
    }
}

impl<I: Id> Retokenizer<I> {
    /// Encodes the new text into `fresh` from a token on, given that it could be done from token `cut`, and
    /// returns that token. `None` if there is no long run, or its pieces do not show what they must.
    pub(super) fn within_run(&mut self, cut: usize, long: &dyn LongPieces) -> Option<usize> {
        let margin = 4 * long.margin() + self.tokenizer.encoder().longest_added();
        let run = self.run.range();
        let short = Shortened::new(&self.text, self.begin(cut), run.clone(), margin)?;
        let text = [&self.text[short.base..short.hole.start], &self.text[short.hole.end..]].concat();
        self.fresh.clear();
        encode(&self.tokenizer, &text, 0, &mut self.pieces, &mut self.fresh);
        for token in &mut self.fresh {
            token.end = short.whole(token.end);
        }
        let across = self.fresh.partition_point(|token| token.end <= short.hole.start);
        let head = (0..=across).rev().find(|&at| self.fresh.get(at).is_some_and(|token| token.starts))?;
        let start = if head == 0 { short.base } else { self.fresh[head - 1].end };
        let rest = (across + 1..self.fresh.len()).find(|&at| self.fresh[at].starts);
        let rest = rest.unwrap_or(self.fresh.len());
        let end = self.fresh.get(rest - 1)?.end;
        if !self.stays(cut, head) {
            None
        } else if self.fresh[head].plain && start <= short.settled && end >= short.unsettled {
            self.stretched(cut + head, start..end, rest, run.end, long)
        } else if start + margin >= short.hole.start {
            self.repeated(cut, head, short.settled, run.end - margin)
        } else {
            None
        }
    }

    /// Whether the first tokens of `fresh`, which are whole pieces, are those of the present encoding from `cut` on.
    fn stays(&self, cut: usize, count: usize) -> bool {
        let same = |(at, token): (usize, &Token)| {
            self.ids.get(at).is_some_and(|id| id.raw() == token.id.raw())
                && self.ends[at] == token.end
                && (self.head(at) == at) == token.starts
        };
        (cut..).zip(&self.fresh[..count]).all(same)
    }

    /// One piece, `piece`, which began at token `head` too, and whose text before `kept` is not new; `rest` are
    /// the tokens after it.
    fn stretched(
        &mut self,
        head: usize,
        piece: std::ops::Range<usize>,
        rest: usize,
        kept: usize,
        long: &dyn LongPieces,
    ) -> Option<usize> {
        self.places.get(head).filter(|place| place.head as usize == head && place.plain)?;
        let (mut cut, mut step) = (spans::whole_tokens(&self.ends, kept), 1);
        loop {
            cut = self.at_character(cut.saturating_sub(step));
            step = STEP_BACK.max(step * 2);
            // A piece that is longer than any token is merged, also where a piece that is a token is not.
            if cut <= head || self.begin(cut) <= piece.start + self.tokenizer.vocab().longest() {
                return None;
            }
            let text = std::str::from_utf8(&self.text[self.begin(cut)..piece.end]).ok()?;
            let mut pieces = Vec::new();
            if self.head(cut - 1) != head || !long.merge(text, &mut pieces) {
                continue;
            }
            let mut merged = Vec::new();
            spread(self.tokenizer.vocab(), &pieces, text.as_bytes(), self.begin(cut), &mut merged);
            if self.merges_apart(head, cut, &merged, long) {
                let starts = |token: Token| Token { starts: false, plain: true, ..token };
                self.fresh.splice(..rest, merged.into_iter().map(starts));
                return Some(cut);
            }
        }
    }

    /// Whether the tokens before `cut` and those after it stay as they are beside each other: merging the text
    /// of the last one before and of the first one after, each with as many as make it characters, gives them.
    fn merges_apart(&self, head: usize, cut: usize, after: &[Token], long: &dyn LongPieces) -> bool {
        let left = self.at_character(cut - 1);
        let whole =
            |token: &&Token| self.text.get(token.end).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
        let (true, Some(right)) = (left >= head, after.iter().find(whole)) else { return false };
        let Ok(text) = std::str::from_utf8(&self.text[self.begin(left)..right.end]) else { return false };
        let before = self.ids[left..cut].iter().map(|id| id.raw());
        let after = after.iter().take_while(|token| token.end <= right.end).map(|token| token.id.raw());
        let mut pieces = Vec::new();
        long.merge(text, &mut pieces) && pieces.iter().map(|piece| piece.id.raw()).eq(before.chain(after))
    }

    /// Short pieces: the `count` tokens before the hole stay. If they show what repeats, the tail starts at the
    /// last piece before `kept`.
    fn repeated(&mut self, cut: usize, count: usize, settled: usize, kept: usize) -> Option<usize> {
        let within = |&at: &usize| self.head(at) == at && self.begin(at) >= settled;
        let last = spans::whole_tokens(&self.ends, kept).min(self.places.len().checked_sub(1)?);
        let later = self.head(last);
        let shown = (cut..cut + count).filter(within).count() > 1 && later >= cut + count;
        (shown && self.at_character(later) == later && self.encode_from(later)).then_some(later)
    }
}
