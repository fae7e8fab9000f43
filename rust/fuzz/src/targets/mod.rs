//! What each target asserts of one input: run by libFuzzer, and on all kept inputs by `cargo test --lib`.

pub mod retokenizer;
pub mod session;
pub mod tiktoken;
pub mod tokenizer_json;
