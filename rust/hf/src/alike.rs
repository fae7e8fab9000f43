//! Characters that a cut cannot tell apart, and how much of a long run of them it can see.
//!
//! A pattern tests one character at a time, with its *atoms*: `\p{L}`, `[^\r\n]`, `x`. Characters that pass the
//! same tests are alike. If whatever repeats without an end is a single atom, a match that begins before or in
//! a run of like characters ends at a fixed distance from the run's start, from the match's start or from the
//! run's end (or behind it), as soon as the run is longer than all that is counted out in the pattern: by
//! induction over concatenation, choice, look-ahead and possessive groups, in the order in which backtracking
//! tries. So the length of the run does not matter. A group that repeats (`(?:ab)+`) could count, and is not
//! taken apart.
//!
//! What follows a literal (`s` in `'s`) is only tested behind that literal, and so not in the midst of a run of
//! others: these atoms tell nothing apart, but each such literal is alike to itself only.

use std::collections::BTreeSet;
use std::sync::RwLock;

use rustc_hash::FxHashMap;
use tokenizers::pre_tokenizers::split::SplitPattern;

use crate::cut::Stage;
use crate::pattern::{Item, items, looks_back};

/// Marks the class of a character that is alike to itself only.
const ALONE: u64 = 1 << 63;

/// Which characters are alike.
pub(crate) struct Alike {
    atoms: Vec<Stage>,
    alone: BTreeSet<char>,
    ascii: [u64; 128],
    others: RwLock<FxHashMap<char, u64>>,
    /// How many characters of a run the cut can count.
    pub margin: usize,
}

impl Alike {
    /// For cuts by these stages, where the characters in `initials` may begin something else. `None` if a
    /// stage is not understood.
    pub(crate) fn new(stages: &[Stage], initials: &[char]) -> Option<Self> {
        let mut found = Atoms::default();
        for stage in stages {
            match stage {
                Stage::Digits => found.digits(),
                Stage::Split(split) => match &split.pattern {
                    SplitPattern::Regex(pattern) => found.regex(pattern)?,
                    SplitPattern::String(text) => found.literal(text)?,
                },
            }
        }
        let alone = found.alone.into_iter().chain(initials.iter().copied()).collect();
        let mut atoms: Vec<Stage> =
            found.tests.iter().map(|atom| Stage::regex(atom).ok()).collect::<Option<_>>()?;
        if found.numbers {
            atoms.push(Stage::Digits);
        }
        if atoms.len() >= 63 {
            return None;
        }
        let others = RwLock::default();
        let mut made = Self { atoms, alone, ascii: [0; 128], others, margin: found.margin + 1 };
        for (code, class) in (0u8..).zip(&mut made.ascii.clone()) {
            *class = made.tested(char::from(code));
            made.ascii[usize::from(code)] = *class;
        }
        Some(made)
    }

    /// Equal for characters that are alike.
    pub(crate) fn class(&self, character: char) -> u64 {
        if let Some(&class) = self.ascii.get(character as usize) {
            return class;
        }
        if let Some(&class) = self.others.read().ok().as_ref().and_then(|known| known.get(&character)) {
            return class;
        }
        let class = self.tested(character);
        if let Ok(mut known) = self.others.write() {
            known.insert(character, class);
        }
        class
    }

    fn tested(&self, character: char) -> u64 {
        if self.alone.contains(&character) {
            return ALONE | u64::from(u32::from(character));
        }
        let text = character.to_string();
        let passes = |atom: &Stage| {
            atom.matches(&text).is_ok_and(|found| found.first() == Some(&((0, text.len()), true)))
        };
        self.atoms.iter().enumerate().map(|(bit, atom)| u64::from(passes(atom)) << bit).sum()
    }
}

/// What several stages test.
#[derive(Default)]
struct Atoms {
    tests: BTreeSet<String>,
    numbers: bool,
    alone: BTreeSet<char>,
    margin: usize,
}

impl Atoms {
    fn digits(&mut self) {
        self.numbers = true;
        self.margin += 1;
    }

    fn literal(&mut self, text: &str) -> Option<()> {
        let mut characters = text.chars();
        self.alone.insert(characters.next()?);
        self.margin += 1;
        characters.next().is_none().then_some(())
    }

    /// Adds a pattern's atoms; `None` if it has something whose behaviour in a run is not proven.
    fn regex(&mut self, pattern: &str) -> Option<()> {
        if looks_back(pattern) {
            return None;
        }
        let items = items(pattern);
        let mut folded = vec![false];
        let (mut guarded, mut counted, mut most) = (None, 0, 0);
        for (at, (item, range)) in items.iter().enumerate() {
            let text = &pattern[range.clone()];
            let repeat = items.get(at + 1).filter(|(next, _)| *next == Item::Repeat);
            let times = match repeat {
                Some((_, range)) => times(&pattern[range.clone()])?,
                None => Times::AtMost(1),
            };
            let depth = folded.len();
            match item {
                Item::Open => folded.push(folded[depth - 1] || text == "(?i:"),
                Item::Close => {
                    if repeat.is_some() && times != Times::AtMost(1) {
                        return None;
                    }
                    folded.pop().filter(|_| depth > 1)?;
                    guarded = guarded.filter(|&guard| guard != depth);
                }
                Item::Char if text == "|" => {
                    guarded = guarded.filter(|&guard| guard != depth);
                    if depth == 1 {
                        (most, counted) = (most.max(counted), 0);
                    }
                }
                Item::Char if text == "$" => {}
                Item::Escape if text == "\\z" || text == "\\Z" => {}
                Item::Repeat => {}
                Item::Char | Item::Class | Item::Escape => {
                    let endless = times == Times::Endless;
                    counted += if let Times::AtMost(most) = times { most } else { 1 };
                    let literal = text.chars().next().filter(|c| *item == Item::Char && *c != '.');
                    if guarded.is_some() && !endless {
                        continue;
                    }
                    guarded = None;
                    if (folded[depth - 1] && literal.is_none_or(char::is_alphabetic)) || !single(*item, text)
                    {
                        return None;
                    }
                    self.tests.insert(if literal.is_some() {
                        format!("[{}]", escaped(text))
                    } else {
                        text.into()
                    });
                    if let Some(literal) = literal.filter(|_| repeat.is_none()) {
                        guarded = Some(depth);
                        self.alone.insert(literal);
                    }
                }
            }
        }
        self.margin += most.max(counted);
        Some(())
    }
}

/// How often something is repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    AtMost(usize),
    Endless,
}

/// `None` for a repeat that is not plain.
fn times(repeat: &str) -> Option<Times> {
    let Some(rest) = repeat.strip_prefix('{') else {
        return Some(if repeat.starts_with('?') { Times::AtMost(1) } else { Times::Endless });
    };
    let inner = rest.strip_suffix('}')?;
    match inner.split_once(',').map_or(inner, |(_, most)| most) {
        "" => Some(Times::Endless),
        most => most.parse().ok().map(Times::AtMost),
    }
}

/// Whether an item matches one character each time.
fn single(item: Item, text: &str) -> bool {
    item != Item::Escape
        || text[1..].starts_with(|c: char| "pPsSdDwWhHnrtfvxu".contains(c) || !c.is_alphanumeric())
}

fn escaped(literal: &str) -> String {
    if literal.chars().all(|c| c.is_alphanumeric() || c.is_whitespace()) {
        literal.to_owned()
    } else {
        format!("\\{literal}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(pattern: &str) -> Option<Alike> {
        Alike::new(&[Stage::regex(pattern).unwrap()], &['<'])
    }

    #[test]
    fn what_follows_a_literal_tells_nothing_apart() {
        let found = alike(r"'(?i:[sdmt]|ll)|(?:'re|'ve)?\p{N}{1,3}| ?\p{L}+|\s+(?!\S)|\s+").unwrap();
        assert_eq!(found.margin, 6 + 3 + 1);
        let equal = |a, b| found.class(a) == found.class(b);
        for (a, b) in [('s', 'a'), ('世', 'a'), ('\t', '\n'), ('7', '٣')] {
            assert!(equal(a, b), "{a:?} {b:?} {:b} {:b}", found.class(a), found.class(b));
        }
        assert!(!equal('a', '1') && !equal('\'', '"') && !equal(' ', '\n') && !equal('<', '>'));
    }

    #[test]
    fn what_counts_is_not_taken_apart() {
        for pattern in ["(?:ab)+", "(a){2}", "(?i:s)t", r"(?<=a)b", "a{2}+", r"\R", "(?i:[ß])"] {
            assert!(alike(pattern).is_none(), "{pattern}");
        }
        for pattern in ["(?:ab|c)?d+", "x{2,}", "[a-z]++|.", r"(?>\d{1,3})(?=a$)", r"\.\p{L}*"] {
            assert!(alike(pattern).is_some(), "{pattern}");
        }
        let literals = alike("'s+|as+").unwrap();
        assert_ne!(literals.class('s'), literals.class('t'));
    }
}
