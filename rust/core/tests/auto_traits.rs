//! What is shared between threads can be.
#![allow(missing_docs)]

use anydraft_core::bridge::Bridge;
use anydraft_core::encode::Tokenizer;
use anydraft_core::memory::{Index, Memory};
use anydraft_core::session::Session;

fn shared<T: Send + Sync>() {}
fn moved<T: Send>() {}

#[test]
fn bridges_are_shared_and_sessions_are_moved() {
    shared::<Bridge>();
    shared::<Tokenizer>();
    moved::<Session>();
    shared::<Memory>();
    moved::<Index>();
}
