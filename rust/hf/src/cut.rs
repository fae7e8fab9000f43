//! Cutting a text into the pieces that the model sees one at a time.

use serde_json::Value;
use tokenizers::pattern::Pattern;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use crate::error::{Error, Part};
use crate::pattern::{looks_back, suffix_closed};
use crate::pipeline::{Normalizer, PreTokenizer, kind, sequence};
use crate::surface::Surface;

/// The pattern of GPT-2, which the byte-level pre-tokenizer has built in.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Patterns whose matches are numbers of at most three digits.
const SHORT_NUMBERS: [&str; 3] = [r"\p{N}{1,3}", r"\d{1,3}", r"[0-9]{1,3}"];

/// One digit of each kind of number.
const DIGITS: [&str; 5] = ["7", "٣", "½", "Ⅷ", "²"];

/// How a text is cut.
pub(crate) enum Cut {
    /// Not at all: the model sees the whole text.
    Whole,
    /// By patterns on the plain text, each within the pieces of the one before.
    Stages(Vec<Stage>),
    /// By the `tokenizers` crate itself, for what we do not take apart.
    Foreign(Option<NormalizerWrapper>, Option<PreTokenizerWrapper>),
}

/// One cut on plain text: matches and what lies between them are pieces.
pub(crate) enum Stage {
    /// At the matches of a regular expression.
    Split(Split),
    /// Around every single digit.
    Digits,
}

impl Stage {
    pub(crate) fn regex(pattern: &str) -> Result<Self, Error> {
        Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map(Self::Split)
            .map_err(|error| Error::broken(Part::PreTokenizer, error))
    }

    pub(crate) fn matches(&self, text: &str) -> tokenizers::Result<Vec<((usize, usize), bool)>> {
        match self {
            Self::Split(split) => (&split.regex).find_matches(text),
            Self::Digits => char::is_numeric.find_matches(text),
        }
    }

    /// Cutting again from any later boundary within one of its matches gives the same cuts.
    fn restartable_inside(&self) -> bool {
        match self {
            Self::Digits => true,
            Self::Split(split) => match &split.pattern {
                SplitPattern::Regex(pattern) => suffix_closed(pattern),
                SplitPattern::String(text) => text.chars().count() == 1,
            },
        }
    }

    fn looks_back(&self) -> bool {
        matches!(self, Self::Split(Split { pattern: SplitPattern::Regex(pattern), .. }) if looks_back(pattern))
    }

    fn short_numbers(&self) -> bool {
        matches!(self, Self::Split(Split { pattern: SplitPattern::Regex(pattern), .. })
            if SHORT_NUMBERS.contains(&pattern.as_str()))
    }
}

impl Cut {
    /// One pattern, as tiktoken has it.
    pub(crate) fn pattern(pattern: &str) -> Result<Self, Error> {
        Ok(Self::Stages(vec![Stage::regex(pattern)?]))
    }

    /// Reads the cleaned sections of a tokenizer.
    pub(crate) fn read(
        normalizer: &Normalizer,
        pre_tokenizer: &PreTokenizer,
        surface: Surface,
    ) -> Result<Self, Error> {
        let stages: Vec<&Value> =
            pre_tokenizer.stages.iter().filter(|stage| !idle(stage, !normalizer.forms.is_empty())).collect();
        if stages.is_empty() {
            return Ok(Self::Whole);
        }
        if surface == Surface::ByteLevel
            && normalizer.steps.is_empty()
            && let Some(stages) = plain(&stages)?
        {
            return Ok(Self::Stages(stages));
        }
        let normalizer = section(&sequence(&normalizer.steps, "normalizers"), Part::Normalizer)?;
        let stages = section(&sequence(&pre_tokenizer.stages, "pretokenizers"), Part::PreTokenizer)?;
        Ok(Self::Foreign(normalizer, stages))
    }

    /// Whether the pieces of a text, from any piece on, are those of the text from there on.
    pub(crate) fn restartable(&self) -> bool {
        match self {
            Self::Stages(stages) => {
                !stages.iter().any(Stage::looks_back)
                    && (0..stages.len().saturating_sub(1)).all(|at| {
                        stages[at].restartable_inside()
                            || (stages[at].short_numbers() && keeps_numbers(&stages[at + 1..]))
                    })
            }
            Self::Foreign(_, Some(PreTokenizerWrapper::Metaspace(only))) => only.split,
            Self::Whole | Self::Foreign(..) => false,
        }
    }
}

/// Calls `emit` with each piece of a text.
pub(crate) fn each<'t>(
    stages: &[Stage],
    text: &'t str,
    emit: &mut impl FnMut(&'t str),
) -> tokenizers::Result<()> {
    let Some((first, rest)) = stages.split_first() else {
        emit(text);
        return Ok(());
    };
    for ((start, end), _) in first.matches(text)? {
        if start < end {
            each(rest, &text[start..end], emit)?;
        }
    }
    Ok(())
}

/// A stage that cuts nothing: it looks for spaces that the normalizer or itself has rewritten, or only
/// rewrites bytes.
fn idle(stage: &Value, spaces_rewritten: bool) -> bool {
    match kind(stage) {
        "Split" => spaces_rewritten && stage["pattern"]["String"] == " ",
        "ByteLevel" => stage["use_regex"] == false,
        "Metaspace" => stage["split"] == false,
        _ => false,
    }
}

/// The stages as cuts of plain text, or `None` if one of them is something else.
fn plain(stages: &[&Value]) -> Result<Option<Vec<Stage>>, Error> {
    let mut out = Vec::with_capacity(stages.len());
    for (at, stage) in stages.iter().enumerate() {
        let last = at + 1 == stages.len();
        out.push(match kind(stage) {
            "ByteLevel" if last => Stage::regex(GPT2)?,
            "Digits" if stage["individual_digits"] == true => Stage::Digits,
            "Split" if stage["behavior"] == "Isolated" || stage["behavior"] == "Removed" => {
                let split = serde_json::from_value((*stage).clone());
                Stage::Split(split.map_err(|error| Error::broken(Part::PreTokenizer, error))?)
            }
            _ => return Ok(None),
        });
    }
    Ok(Some(out))
}

fn section<T: serde::de::DeserializeOwned>(value: &Value, part: Part) -> Result<Option<T>, Error> {
    serde_json::from_value(value.clone()).map_err(|error| Error::broken(part, error))
}

/// Whether short numbers stay in one piece.
fn keeps_numbers(stages: &[Stage]) -> bool {
    let pairs = DIGITS.iter().flat_map(|a| DIGITS.iter().map(move |b| format!("{a}{b}")));
    let triples = pairs.clone().flat_map(|pair| DIGITS.iter().map(move |c| format!("{pair}{c}")));
    pairs.chain(triples).all(|number| {
        let mut pieces = 0;
        each(stages, &number, &mut |_| pieces += 1).is_ok() && pieces == 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::pre_tokenizer;
    use serde_json::json;

    fn read(stages: &[Value]) -> Cut {
        let section = json!({"type": "Sequence", "pretokenizers": stages});
        Cut::read(&Normalizer::default(), &pre_tokenizer(&section).unwrap(), Surface::ByteLevel).unwrap()
    }

    fn split(pattern: &str) -> Value {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
    }

    fn bytes(use_regex: bool) -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
    }

    #[test]
    fn restartable_only_where_proven() {
        let digits = json!({"type": "Digits", "individual_digits": true});
        let runs = json!({"type": "Digits", "individual_digits": false});
        let table: &[(&[Value], bool)] = &[
            (&[bytes(true)], true),
            (&[digits, bytes(true)], true),
            (&[split(r"\p{N}{1,3}"), split(r"[a-z]+|\s+"), bytes(false)], true),
            (&[split(r"\p{N}{1,3}"), split("7"), bytes(false)], false),
            (&[split(r"[a-z]{1,3}"), split("b"), bytes(false)], false),
            (&[split(r"(?<=a)b"), bytes(false)], false),
            (&[runs, bytes(true)], false),
            (&[bytes(true), split("a")], false),
        ];
        for (at, (stages, expected)) in table.iter().enumerate() {
            assert_eq!(read(stages).restartable(), *expected, "row {at}");
        }
    }

    #[test]
    fn matches_and_gaps_are_pieces() {
        let Cut::Stages(stages) = read(&[split(r"\d"), split("b+"), bytes(false)]) else { panic!() };
        let mut pieces = Vec::new();
        each(&stages, "abb12bc", &mut |piece| pieces.push(piece)).unwrap();
        assert_eq!(pieces, ["a", "bb", "1", "2", "b", "c"]);
    }

    #[test]
    fn idle_stages_are_left_out() {
        assert!(matches!(read(&[bytes(false)]), Cut::Whole));
    }
}
