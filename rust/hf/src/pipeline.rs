//! What the sections around the model do to a text: read, checked, and freed of everything that would
//! add bytes to it.

use serde_json::{Value, json};

use crate::error::{Error, Part};
use crate::surface::Surface;

/// The normalizer, cleaned.
#[derive(Default)]
pub(crate) struct Normalizer {
    /// The steps that are kept: none, or one that writes the text in the tokenizer's byte form.
    pub steps: Vec<Value>,
    /// The byte forms it writes.
    pub forms: Vec<Surface>,
    /// A dummy prefix was dropped.
    pub dummy_prefix: bool,
    /// A Unicode normal form was dropped.
    pub string_lossy: bool,
}

/// The pre-tokenizer, cleaned.
#[derive(Default)]
pub(crate) struct PreTokenizer {
    /// Its stages, nested sequences taken apart.
    pub stages: Vec<Value>,
    /// The byte forms it writes.
    pub forms: Vec<Surface>,
    /// A dummy prefix was dropped.
    pub dummy_prefix: bool,
}

/// The decoder, cleaned.
#[derive(Default)]
pub(crate) struct Decoder {
    /// Its steps, nested sequences taken apart.
    pub steps: Vec<Value>,
    /// The byte forms it reads.
    pub forms: Vec<Surface>,
    /// `<0xNN>` is read as a byte.
    pub fallback: bool,
    /// It removes a dummy prefix.
    pub dummy_prefix: bool,
}

/// Reads a normalizer.
pub(crate) fn normalizer(value: &Value) -> Result<Normalizer, Error> {
    let mut found = Normalizer::default();
    for step in flat(value, "normalizers") {
        match kind(step) {
            "NFC" | "NFD" | "NFKC" | "NFKD" => found.string_lossy = true,
            "Prepend" if matches!(step["prepend"].as_str(), Some("▁" | " ")) => found.dummy_prefix = true,
            "Replace" if step["pattern"]["String"] == " " && step["content"] == "▁" => {
                found.forms.push(Surface::SentencePiece);
                found.steps.push(step.clone());
            }
            "ByteLevel" => {
                found.forms.push(Surface::ByteLevel);
                found.steps.push(step.clone());
            }
            _ => return Err(refused(Part::Normalizer, step, "changes the text, so bytes would be lost")),
        }
    }
    Ok(found)
}

/// Reads a pre-tokenizer.
pub(crate) fn pre_tokenizer(value: &Value) -> Result<PreTokenizer, Error> {
    let mut found = PreTokenizer::default();
    for stage in flat(value, "pretokenizers") {
        let mut stage = stage.clone();
        match kind(&stage) {
            "ByteLevel" => {
                found.forms.push(Surface::ByteLevel);
                found.dummy_prefix |= stage["add_prefix_space"] == true;
                stage["add_prefix_space"] = json!(false);
            }
            "Metaspace" if stage["replacement"] == "▁" => {
                found.forms.push(Surface::SentencePiece);
                found.dummy_prefix |= metaspace_prefix(&stage);
                quiet_metaspace(&mut stage);
            }
            "Split" if stage["behavior"] == "Removed" && stage["invert"] != true => {
                return Err(refused(Part::PreTokenizer, &stage, "removes text"));
            }
            "Punctuation" if stage["behavior"] == "Removed" => {
                return Err(refused(Part::PreTokenizer, &stage, "removes text"));
            }
            "FixedLength" if stage["length"].as_u64().is_none_or(|length| length == 0) => {
                return Err(refused(Part::PreTokenizer, &stage, "needs a length above 0"));
            }
            "Split" | "Punctuation" | "Digits" | "UnicodeScripts" | "FixedLength" => {}
            "Metaspace" => {
                return Err(refused(Part::PreTokenizer, &stage, "writes spaces as another character than ▁"));
            }
            _ => return Err(refused(Part::PreTokenizer, &stage, "removes white space")),
        }
        found.stages.push(stage);
    }
    Ok(found)
}

/// Reads a decoder.
pub(crate) fn decoder(value: &Value) -> Result<Decoder, Error> {
    let mut found = Decoder::default();
    for step in flat(value, "decoders") {
        let mut step = step.clone();
        match kind(&step) {
            "ByteLevel" => found.forms.push(Surface::ByteLevel),
            "ByteFallback" => found.fallback = true,
            "Fuse" => {}
            "Replace" if step["pattern"]["String"] == "▁" && step["content"] == " " => {
                found.forms.push(Surface::SentencePiece);
            }
            "Metaspace" if step["replacement"] == "▁" => {
                found.forms.push(Surface::SentencePiece);
                found.dummy_prefix |= metaspace_prefix(&step);
                quiet_metaspace(&mut step);
            }
            "Strip"
                if step["content"] == " "
                    && step["stop"] == 0
                    && matches!(step["start"].as_u64(), Some(0 | 1)) =>
            {
                found.dummy_prefix |= step["start"] == 1;
                continue;
            }
            _ => return Err(refused(Part::Decoder, &step, "does not keep the bytes of the tokens")),
        }
        found.steps.push(step);
    }
    Ok(found)
}

/// Several steps as one section.
pub(crate) fn sequence(steps: &[Value], key: &str) -> Value {
    match steps {
        [] => Value::Null,
        [only] => only.clone(),
        _ => json!({ "type": "Sequence", key: steps }),
    }
}

/// The kind of a section, as its `type` says.
pub(crate) fn kind(section: &Value) -> &str {
    section["type"].as_str().unwrap_or(if section.is_null() { "none" } else { "of no type" })
}

/// The steps of a section, nested sequences taken apart.
fn flat<'a>(section: &'a Value, key: &str) -> Vec<&'a Value> {
    match (section, &section[key]) {
        (Value::Null, _) => Vec::new(),
        (_, Value::Array(steps)) if kind(section) == "Sequence" => {
            steps.iter().flat_map(|step| flat(step, key)).collect()
        }
        _ => vec![section],
    }
}

fn metaspace_prefix(section: &Value) -> bool {
    section["prepend_scheme"] != "never" && section["add_prefix_space"] != false
}

fn quiet_metaspace(section: &mut Value) {
    section["prepend_scheme"] = json!("never");
    section["add_prefix_space"] = json!(false);
}

fn refused(part: Part, section: &Value, reason: &'static str) -> Error {
    let found = match kind(section) {
        "Replace" => format!("Replace {} -> {}", section["pattern"], section["content"]),
        kind => kind.to_owned(),
    };
    Error::Unsupported { part, found, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_taken_apart() {
        let nested = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]});
        let found = normalizer(&nested).unwrap();
        assert!(found.dummy_prefix && found.string_lossy);
        assert_eq!(found.forms, [Surface::SentencePiece]);
        assert_eq!(found.steps.len(), 1);
    }

    #[test]
    fn dummy_prefixes_are_dropped_but_recorded() {
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": true, "use_regex": true});
        let found = pre_tokenizer(&byte_level).unwrap();
        assert!(found.dummy_prefix);
        assert_eq!(found.stages[0]["add_prefix_space"], false);
        for (section, expected) in [
            (json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}), true),
            (json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}), true),
            (json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}), false),
        ] {
            let found = pre_tokenizer(&section).unwrap();
            assert_eq!(found.dummy_prefix, expected);
            assert_eq!(found.stages[0]["prepend_scheme"], "never");
            assert_eq!(decoder(&section).unwrap().dummy_prefix, expected);
        }
    }

    #[test]
    fn counts_that_mean_nothing_are_refused() {
        for length in [json!(0), json!(-1), json!(null)] {
            assert!(pre_tokenizer(&json!({"type": "FixedLength", "length": length})).is_err());
        }
        assert!(pre_tokenizer(&json!({"type": "FixedLength", "length": 5})).is_ok());
        for start in [json!(2), json!(1_u64 << 60), json!("x")] {
            assert!(decoder(&json!({"type": "Strip", "content": " ", "start": start, "stop": 0})).is_err());
        }
    }

    #[test]
    fn what_loses_bytes_is_refused_by_name() {
        for name in ["Lowercase", "Strip", "StripAccents", "BertNormalizer", "Precompiled", "Nmt"] {
            let error = normalizer(&json!({ "type": name })).err().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
        let regex = json!({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "});
        assert!(normalizer(&regex).err().unwrap().to_string().contains("Replace"));
        for name in ["Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit"] {
            assert!(pre_tokenizer(&json!({ "type": name })).is_err());
        }
        for name in ["WordPiece", "CTC", "BPEDecoder"] {
            assert!(decoder(&json!({ "type": name })).is_err());
        }
    }
}
