//! The characters of one kind that end a text, and where a piece before them is settled.

use std::ops::Range;

use crate::encode::LongPieces;
use crate::utf8;

/// Changes between space, letter, digit and sign after which a piece is settled.
const SETTLING_CHANGES: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Digit,
    Sign,
}

impl Class {
    /// Of a character, or of bytes that are none.
    fn of(character: Option<char>) -> Self {
        match character {
            Some(c) if c.is_whitespace() => Self::Space,
            Some(c) if c.is_alphabetic() => Self::Letter,
            Some(c) if c.is_numeric() => Self::Digit,
            _ => Self::Sign,
        }
    }
}

/// The last run of like characters in a text that grows and shrinks at its end, found by reading only what
/// changes. An unfinished code point may follow it.
#[derive(Clone, Default)]
pub(super) struct Run {
    start: usize,
    end: usize,
    /// What its characters have in common: for the encoder, and for [`settled`].
    kind: Option<(u64, Class)>,
}

impl Run {
    /// Where it is.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Follows a cut of `text` to its first `keep` bytes. O(1) within the run, else O(the run before).
    pub fn truncate(&mut self, text: &[u8], keep: usize, long: &dyn LongPieces) {
        if keep >= self.end {
            return;
        }
        self.end = utf8::floor(text, keep);
        if self.end > self.start {
            return;
        }
        (self.start, self.kind) = (self.end, None);
        while let Some(c) = utf8::last(&text[..self.start]) {
            let kind = Some((long.class(c), Class::of(Some(c))));
            if self.kind.is_some() && self.kind != kind {
                break;
            }
            self.kind = kind;
            self.start -= c.len_utf8();
        }
    }

    /// Follows what `text` has gained at its end. O(new bytes).
    pub fn extend(&mut self, text: &[u8], long: &dyn LongPieces) {
        while self.end < text.len() {
            if let Some(c) = utf8::first(&text[self.end..]) {
                let kind = Some((long.class(c), Class::of(Some(c))));
                if self.kind != kind {
                    (self.start, self.kind) = (self.end, kind);
                }
                self.end += c.len_utf8();
            } else if utf8::pending(text) == text.len() - self.end {
                break;
            } else {
                *self = Self { start: self.end + 1, end: self.end + 1, kind: None };
            }
        }
    }
}

/// The largest offset after which the text changes its character class often enough to settle a
/// piece that begins there; `run` is the text's last. O(length of the few runs before it).
pub(super) fn settled(text: &[u8], run: &Run) -> usize {
    let mut changes = 0;
    let mut last: Option<Class> = None;
    let mut offset = text.len();
    while offset > 0 {
        let (begin, class) = match run.kind {
            Some((_, class)) if offset == run.end && run.start < run.end => (run.start, class),
            _ => {
                let begin = utf8::floor(text, offset - 1);
                (begin, Class::of(utf8::last(&text[begin..offset])))
            }
        };
        if last.is_some_and(|last| last != class) {
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
