//! Incremental equals whole, for any bytes and any order of changes.

use anydraft_core::retokenizer::Retokenizer;

use crate::{Part, tokenizers};

/// A tokenizer, and changes: of what kind, where, and what is written there.
pub type Given = (u8, Vec<(u8, u16, Part)>);

/// Asserts it for one input.
pub fn run(given: &Given) {
    let tokenizer = &tokenizers()[usize::from(given.0) % 3];
    let mut stream = Retokenizer::new(tokenizer.clone());
    let (mut text, mut ids) = (Vec::new(), Vec::new());
    for (kind, at, part) in given.1.iter().take(24) {
        let keep = if kind % 3 == 0 { usize::from(*at) % (text.len() + 1) } else { text.len() };
        text.truncate(keep);
        let splice = if kind % 3 == 2 {
            stream.truncate(keep)
        } else {
            text.extend(part.bytes());
            stream.replace_tail(keep, part.bytes())
        };
        splice.apply(&mut ids);
    }
    let mut whole = Retokenizer::new(tokenizer.clone());
    whole.push(&text);
    assert_eq!(stream.text(), &text[..]);
    assert_eq!(stream.ids(), whole.ids());
    assert_eq!(&ids[..], whole.ids());
    assert_eq!(stream.ends(), whole.ends());
}
