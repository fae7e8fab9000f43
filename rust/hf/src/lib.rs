//! Reads tokenizers of the Hugging Face and tiktoken formats into the core's vocabularies and encoders.
//!
//! A tokenizer comes in as it is saved (`tokenizer.json`, or tiktoken's ranks and pattern) and goes out
//! as bytes: every id with the raw bytes it stands for, and an encoder whose ids spell exactly the bytes
//! of the text. What cannot be said in bytes is refused with an error that names it.
//!
//! | module | duty |
//! |---|---|
//! | `load` | a tokenizer JSON, or ready parts, to a [`Loaded`] |
//! | `model` | the model section of the JSON: byte-pair encoding or unigram |
//! | `pipeline` | what normalizers, pre-tokenizers and decoders do; which are refused, which are dropped |
//! | `surface` | which byte form a tokenizer uses |
//! | `byte_level`, `byte_fallback` | the two byte forms |
//! | `special` | added tokens: what they stand for, where they match |
//! | `cut`, `pattern` | cutting a text into pieces; whether a piece may be encoded alone |
//! | `alike` | characters that are cut alike, and how much of a run of them matters |
//! | `encoder` | text to ids |
//! | `tiktoken` | ranks, special tokens and a pattern to a [`Loaded`] |
//! | `selfcheck` | every load is checked against the tokenizer's own decoder |

#![forbid(unsafe_code)]

mod alike;
mod byte_fallback;
mod byte_level;
mod cut;
mod encoder;
pub mod error;
mod load;
mod model;
mod pattern;
mod pipeline;
mod selfcheck;
mod special;
mod surface;
mod tiktoken;

pub use error::Error;
pub use load::{Loaded, fingerprint, from_json, from_json_within};
pub use surface::Surface;
pub use tiktoken::{from_tiktoken, tiktoken_fingerprint};
