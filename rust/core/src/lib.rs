//! The core of anydraft: two vocabularies meet as bytes.

#![forbid(unsafe_code)]

pub mod encode;
pub mod error;
pub mod id;
pub mod utf8;
pub mod vocab;
