//! How target tokens are written with draft tokens: the tables of class coupling.
//!
//! The class of a target token is the draft token with which the draft starts to write it. A *merge* is a
//! target token that the draft writes as exactly two tokens. A *crossing* is where the two sides disagree
//! on the last of several spaces before a word: one leaves it to the word, the other does not.

use std::thread;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::encode::Tokenizer;
use crate::id::{DraftId, Id, MISSING, TargetId};
use crate::translation::Translation;
use crate::vocab::Kind;

/// Dense and compressed tables over both vocabularies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spelling {
    /// By target id: its class.
    pub class_of: Vec<i64>,
    /// Ascending: `a * D + e` for every merge of the draft tokens `a` and `e`.
    pub merge_keys: Vec<i64>,
    /// The target token of every merge.
    pub merge_ids: Vec<i64>,
    /// By draft id: for a token of spaces, the target token in its place before a word.
    pub crossing: Vec<i64>,
    /// Where the rows of `rest_ids` start.
    pub rest_offsets: Vec<i64>,
    /// By draft id: the target tokens of a word after a crossing.
    pub rest_ids: Vec<i64>,
}

/// How many spaces more than the draft's token the target's token in its place has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crossing {
    OneMore,
    OneLess,
}

impl Spelling {
    /// Encodes every target token with the draft's tokenizer, on all cores.
    pub fn new(target: &Tokenizer<TargetId>, draft: &Tokenizer<DraftId>, translation: &Translation) -> Self {
        let size = draft.vocab().len() as i64;
        let mut classes = vec![None; target.vocab().len()];
        let mut merges: FxHashMap<i64, TargetId> = FxHashMap::default();
        for (t, written) in written(target, draft) {
            classes[t.index()] = Some(written.0);
            if let Some(second) = written.1 {
                merges.insert(i64::from(written.0.raw()) * size + i64::from(second.raw()), t);
            }
        }
        for d in draft.vocab().ids().filter(|&d| draft.vocab().kind(d) == Kind::Special) {
            if let Some(t) = translation.to_target(d) {
                classes[t.index()] = Some(d);
            }
        }
        let (kept, direction) = crossings(target, draft);
        let taken: FxHashSet<TargetId> = kept.iter().map(|&(_, t)| t).collect();
        merges.retain(|_, t| !taken.contains(t));
        let mut crossing = vec![MISSING; draft.vocab().len()];
        for (a, t) in kept {
            crossing[a.index()] = i64::from(t.raw());
            classes[t.index()] = Some(a);
        }
        let mut merges: Vec<_> = merges.into_iter().collect();
        merges.sort_unstable();
        let (rest_offsets, rest_ids) = rests(target, draft, (!taken.is_empty()).then_some(direction));
        Self {
            class_of: classes
                .into_iter()
                .map(|d| d.map_or(MISSING, |d: DraftId| i64::from(d.raw())))
                .collect(),
            merge_keys: merges.iter().map(|(key, _)| *key).collect(),
            merge_ids: merges.iter().map(|(_, t)| i64::from(t.raw())).collect(),
            crossing,
            rest_offsets,
            rest_ids,
        }
    }
}

/// What the draft writes for a target token: its first token, and the second if there are exactly two and
/// the target token is the canonical one.
type Written = (DraftId, Option<DraftId>);

fn written(target: &Tokenizer<TargetId>, draft: &Tokenizer<DraftId>) -> Vec<(TargetId, Written)> {
    let ids: Vec<TargetId> = target.vocab().ids().collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let part = ids.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = ids
            .chunks(part)
            .map(|ids| {
                scope.spawn(move || {
                    ids.iter().filter_map(|&t| Some((t, write(target, draft, t)?))).collect::<Vec<_>>()
                })
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn write(target: &Tokenizer<TargetId>, draft: &Tokenizer<DraftId>, t: TargetId) -> Option<Written> {
    let bytes = target.vocab().bytes(t);
    let ids = draft.encode_bytes(bytes)?;
    let second = if ids.len() == 2 && target.vocab().find(bytes) == Some(t) { Some(ids[1]) } else { None };
    Some((*ids.first()?, second))
}

/// Draft tokens of spaces with the target token in their place before a word, in the direction that more
/// lengths show.
fn crossings(
    target: &Tokenizer<TargetId>,
    draft: &Tokenizer<DraftId>,
) -> (Vec<(DraftId, TargetId)>, Crossing) {
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for a in draft.vocab().ids() {
        let spaces = draft.vocab().bytes(a);
        if spaces.is_empty()
            || spaces.iter().any(|&byte| byte != b' ')
            || draft.encode_bytes(spaces) != Some(vec![a])
        {
            continue;
        }
        for (found, place, word) in
            [(&mut more, [spaces, b" "].concat(), &b" a"[..]), (&mut less, spaces[1..].to_vec(), &b"a"[..])]
        {
            let Some(t) = target.vocab().find(&place) else { continue };
            let line = [b"a", spaces, word].concat();
            let second = |ids: Option<Vec<u32>>| ids.and_then(|ids| ids.get(1).copied());
            if second(draft.encode_bytes(&line).map(raw)) == Some(a.raw())
                && second(target.encode_bytes(&line).map(raw)) == Some(t.raw())
            {
                found.push((a, t));
            }
        }
    }
    if more.len() >= less.len() { (more, Crossing::OneMore) } else { (less, Crossing::OneLess) }
}

fn raw<I: Id>(ids: Vec<I>) -> Vec<u32> {
    ids.into_iter().map(Id::raw).collect()
}

fn rests(
    target: &Tokenizer<TargetId>,
    draft: &Tokenizer<DraftId>,
    direction: Option<Crossing>,
) -> (Vec<i64>, Vec<i64>) {
    let mut offsets = vec![0];
    let mut ids = Vec::new();
    let begins = |byte: Option<&u8>| byte.is_some_and(|byte| !b" \t\n\r\x0b\x0c".contains(byte));
    for e in draft.vocab().ids() {
        let bytes = draft.vocab().bytes(e);
        let rest = match direction {
            Some(Crossing::OneMore) if bytes.first() == Some(&b' ') && begins(bytes.get(1)) => {
                target.encode_bytes(&bytes[1..])
            }
            Some(Crossing::OneLess) if begins(bytes.first()) => target.encode_bytes(&[b" ", bytes].concat()),
            _ => None,
        };
        ids.extend(rest.unwrap_or_default().iter().map(|t| i64::from(t.raw())));
        offsets.push(ids.len() as i64);
    }
    (offsets, ids)
}
