//! A tokenizer.json with any of its values exchanged, or any text at all, is loaded or refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anydraft_core::encode::Tokenizer;
use anydraft_core::id::TokenId;
use anydraft_core::retokenizer::Retokenizer;
use arbitrary::Arbitrary;
use serde_json::{Value, json};

use crate::{Part, files};

/// A file, and a text to encode with it.
pub type Given = (File, Vec<Part>);

/// A file.
#[derive(Arbitrary, Debug)]
pub enum File {
    /// Any text.
    Any(String),
    /// A good one, with values exchanged.
    Changed {
        /// Which.
        toy: u8,
        /// Where, and what is there then.
        changes: Vec<(u16, New)>,
    },
}

/// A value.
#[allow(missing_docs)]
#[derive(Arbitrary, Debug)]
pub enum New {
    Null,
    Bool(bool),
    Number(i64),
    Float(f64),
    Text(String),
    Empty(bool),
    Other(u16),
    Gone,
}

/// Paths to all values of a tree; of the vocabulary and the merges to some.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    let every = if path.ends_with("/vocab") || path.ends_with("/merges") { 37 } else { 1 };
    match value {
        Value::Array(list) => {
            for (at, each) in list.iter().enumerate().step_by(every) {
                paths(each, &format!("{path}/{at}"), found);
            }
        }
        Value::Object(map) => {
            for (name, each) in map.iter().step_by(every) {
                paths(each, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

fn changed(toy: u8, changes: &[(u16, New)]) -> Value {
    let mut file = files()[usize::from(toy) % 3].clone();
    for (at, new) in changes.iter().take(4) {
        let mut known = Vec::new();
        paths(&file, "", &mut known);
        let new = match new {
            New::Null | New::Gone => Value::Null,
            New::Bool(yes) => json!(yes),
            New::Number(number) => json!(number),
            New::Float(number) => json!(number),
            New::Text(text) => json!(text),
            New::Empty(list) => {
                if *list {
                    json!([])
                } else {
                    json!({})
                }
            }
            New::Other(other) => {
                file.pointer(&known[usize::from(*other) % known.len()]).cloned().unwrap_or_default()
            }
        };
        if let Some(value) = file.pointer_mut(&known[usize::from(*at) % known.len()]) {
            *value = new;
        }
    }
    file
}

/// Loads one, and encodes with it.
pub fn run(given: &Given) {
    let text = match &given.0 {
        File::Any(text) => text.clone(),
        File::Changed { toy, changes } => changed(*toy, changes).to_string(),
    };
    let loaded = catch_unwind(|| anydraft_hf::from_json(&text));
    let Ok(Ok(loaded)) = loaded else { return };
    let tokenizer: Tokenizer<TokenId> = loaded.tokenizer;
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let mut stream = Retokenizer::new(tokenizer.clone());
        for part in &given.1 {
            stream.push(part.bytes());
        }
        let said = tokenizer.vocab().decode(stream.ids());
        assert!(said.len() <= stream.text().len() + 1);
    }));
}
