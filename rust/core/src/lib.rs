//! The core of anydraft: two vocabularies meet as bytes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`id`] | draft ids and target ids, which cannot be mixed up |
//! | [`vocab`] | a vocabulary as bytes: id to bytes, bytes to ids |
//! | [`encode`] | what the core asks of an encoder, and a tokenizer as the core sees it |
//! | [`intersection`] | tokens equal as bytes, and how much of a text they cover |
//! | [`translation`] | dense id tables in both directions |
//! | [`expansion`] | every draft token as target tokens |
//! | [`spelling`] | target tokens as draft tokens: classes, merges, crossings |
//! | [`splice`] | a change of a token sequence: keep a prefix, append |
//! | [`spans`], [`alignment`] | where tokens end, and boundaries common to two segmentations |
//! | [`utf8`], [`detokenizer`] | ids to text, piece by piece |
//! | [`retokenizer`] | text to ids, piece by piece, equal to encoding the whole |
//! | [`tree`] | several continuations at once
//! | [`memory`] | what was said before, and how a text may go on by it |
//! | [`bridge`], [`session`] | a pair of tokenizers, and one sequence decoded with it |
//!
//! Nothing here knows of Python, of files or of models.

#![forbid(unsafe_code)]

pub mod alignment;
pub mod bridge;
pub mod detokenizer;
pub mod encode;
pub mod error;
pub mod expansion;
pub mod id;
pub mod intersection;
pub mod memory;
pub mod retokenizer;
pub mod session;
pub mod spans;
pub mod spelling;
pub mod splice;
pub mod translation;
pub mod tree;
pub mod utf8;
pub mod vocab;
