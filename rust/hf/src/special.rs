//! Added tokens: what they stand for and where they match.

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use crate::byte_fallback::{SPACE, unspaced};
use crate::error::{Error, Part};

/// One entry of `added_tokens`. `lstrip`, `rstrip` and `single_word` are not read: they would make a
/// token swallow or leave text depending on what stands beside it.
#[derive(Clone, Deserialize, Debug)]
pub(crate) struct AddedToken {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub normalized: bool,
}

/// A stretch of text.
pub(crate) enum Chunk<'a> {
    /// An added token.
    Added(u32),
    /// Text for the model.
    Text(&'a str),
}

/// Finds the added tokens that plain text can match. Special tokens are not among them.
#[derive(Default)]
pub(crate) struct Matcher {
    /// Matched first, then `second` in what is left: tokens that ask to be matched after normalization.
    first: Option<Table>,
    second: Option<Table>,
    longest: usize,
    initials: Vec<char>,
}

struct Table {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Table {
    fn new(patterns: &[(String, u32)]) -> Result<Option<Self>, Error> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns.iter().map(|(text, _)| text))
            .map_err(|error| Error::broken(Part::Model, error))?;
        Ok(Some(Self { automaton, ids: patterns.iter().map(|&(_, id)| id).collect() }))
    }
}

impl Matcher {
    /// `spaced` says that `▁` is a space; `normalized` that the normalizer makes it so.
    pub(crate) fn new(tokens: &[AddedToken], spaced: bool, normalized: bool) -> Result<Self, Error> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for token in tokens.iter().filter(|token| !token.special && !token.content.is_empty()) {
            if token.normalized && normalized {
                second.push((unspaced(&token.content), token.id));
            } else if spaced && token.content.contains(SPACE) {
                // It would match a literal `▁` but stand for a space: it is never produced.
            } else if token.normalized {
                second.push((token.content.clone(), token.id));
            } else {
                first.push((token.content.clone(), token.id));
            }
        }
        let texts = || first.iter().chain(&second).map(|(text, _)| text);
        let longest = texts().map(String::len).max().unwrap_or(0);
        let initials = texts().filter_map(|text| text.chars().next()).collect();
        Ok(Self { first: Table::new(&first)?, second: Table::new(&second)?, longest, initials })
    }

    /// The length in bytes of the longest text that matches.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The characters that those texts begin with.
    pub(crate) fn initials(&self) -> &[char] {
        &self.initials
    }

    /// Cuts a text at its added tokens.
    pub(crate) fn each<'t>(&self, text: &'t str, emit: &mut impl FnMut(Chunk<'t>)) {
        scan(self.first.as_ref(), text, &mut |chunk| match chunk {
            Chunk::Text(rest) => scan(self.second.as_ref(), rest, emit),
            added @ Chunk::Added(_) => emit(added),
        });
    }
}

fn scan<'t>(table: Option<&Table>, text: &'t str, emit: &mut impl FnMut(Chunk<'t>)) {
    let mut done = 0;
    if let Some(table) = table {
        for found in table.automaton.find_iter(text) {
            if done < found.start() {
                emit(Chunk::Text(&text[done..found.start()]));
            }
            emit(Chunk::Added(table.ids[found.pattern().as_usize()]));
            done = found.end();
        }
    }
    if done < text.len() {
        emit(Chunk::Text(&text[done..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, content: &str, special: bool, normalized: bool) -> AddedToken {
        AddedToken { id, content: content.to_owned(), special, normalized }
    }

    fn cut(matcher: &Matcher, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        matcher.each(text, &mut |chunk| {
            out.push(match chunk {
                Chunk::Added(id) => format!("#{id}"),
                Chunk::Text(text) => text.to_owned(),
            });
        });
        out
    }

    #[test]
    fn leftmost_longest_specials_left_alone() {
        let tokens = [
            token(1, "\n", false, false),
            token(2, "\n\n", false, false),
            token(3, "<end>", true, false),
            token(4, "<b>", false, true),
        ];
        let matcher = Matcher::new(&tokens, true, true).unwrap();
        assert_eq!(matcher.longest(), 3);
        assert_eq!(cut(&matcher, "a\n\n\nb<end><b>"), ["a", "#2", "#1", "b<end>", "#4"]);
        assert_eq!(cut(&matcher, ""), [""; 0]);
    }

    #[test]
    fn normalized_tokens_come_second_and_match_spaces() {
        let tokens =
            [token(1, "b▁c", false, true), token(2, "a b", false, false), token(3, "▁x", false, false)];
        let matcher = Matcher::new(&tokens, true, true).unwrap();
        assert_eq!(cut(&matcher, "a b c"), ["#2", " c"]);
        assert_eq!(cut(&matcher, "b c"), ["#1"]);
        assert_eq!(cut(&matcher, "▁x"), ["▁x"]);
    }
}
