//! One sequence: what the target has said, and how the draft sees it.
//!
//! The target's own ids are the truth and only grow. The draft's view is the draft's own encoding of the
//! same bytes. A control token of the target ends a stretch of text: the draft is shown its partner, or
//! nothing if it has none, and a new stretch begins.

use std::sync::Arc;

use crate::bridge::Bridge;
use crate::detokenizer::Detokenizer;
use crate::id::{DraftId, TargetId};
use crate::retokenizer::Retokenizer;
use crate::splice::{Splice, common_prefix};
use crate::tree::{Candidates, Tree};
use crate::utf8;
use crate::vocab::Kind;

/// What a commit brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The text that became complete.
    pub text: String,
    /// The bytes of the committed tokens.
    pub bytes: Vec<u8>,
    /// The change from what the draft was last shown (its view and the tokens it drafted after it) to
    /// its new view.
    pub splice: Splice<DraftId>,
}

/// A stretch of text between control tokens, as the draft encodes it.
struct Stretch {
    /// Ids of the draft's view before it.
    base: usize,
    text: Retokenizer<DraftId>,
    /// Whether the next bytes are the first of a text, where some tokenizers put a space.
    opening: bool,
}

/// One sequence decoded with a bridge.
pub struct Session {
    bridge: Arc<Bridge>,
    committed: Detokenizer<TargetId>,
    stretch: Stretch,
    view: Vec<DraftId>,
    /// What the draft was last shown: its view, then what it drafted.
    shown: Vec<DraftId>,
}

impl Session {
    /// A sequence whose draft starts from `view`, its own rendering of what comes first.
    ///
    /// With a `prompt` the draft reads the prompt's text after `view`; control tokens at the very start
    /// of the prompt are not translated, because `view` holds the draft's own. Without one, what follows
    /// goes on in the text that `view` ends with (a rendered chat).
    pub fn new(bridge: Arc<Bridge>, view: Vec<DraftId>, prompt: &[TargetId]) -> Self {
        let text = Retokenizer::new(bridge.draft().clone());
        let mut session = Self {
            committed: Detokenizer::new(bridge.target().vocab().clone()),
            bridge,
            stretch: Stretch { base: view.len(), text, opening: !prompt.is_empty() },
            view,
            shown: Vec::new(),
        };
        let vocab = session.bridge.target().vocab();
        let lead = prompt.iter().take_while(|&&id| vocab.kind(id) == Kind::Special).count();
        session.committed.push(&prompt[..lead]);
        session.commit(&prompt[lead..], &[]);
        session
    }

    /// The draft's present view, without what it drafted.
    pub fn view(&self) -> &[DraftId] {
        &self.view
    }

    /// Number of committed target tokens, the prompt included.
    pub fn len(&self) -> usize {
        self.committed.len()
    }

    /// Whether nothing was committed.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty()
    }

    /// The bytes of all committed tokens.
    pub fn bytes(&self) -> &[u8] {
        self.committed.bytes()
    }

    /// Translates what the draft drew after its view through text: the target's own encoding of the
    /// bytes, up to the first control token without a partner. An unfinished code point at the end is
    /// left out.
    pub fn propose(&self, ids: &[DraftId]) -> Vec<TargetId> {
        let vocab = self.bridge.draft().vocab();
        let mut proposal = Vec::new();
        let mut bytes = Vec::new();
        let mut first = true;
        for &id in ids {
            match vocab.kind(id) {
                Kind::Unused => break,
                Kind::Special => {
                    let Some(partner) = self.bridge.translation().to_target(id) else { break };
                    if !self.write(&mut bytes, &mut first, &mut proposal) {
                        return proposal;
                    }
                    proposal.push(partner);
                }
                Kind::Text | Kind::Added | Kind::Byte => bytes.extend_from_slice(vocab.bytes(id)),
            }
        }
        self.write(&mut bytes, &mut first, &mut proposal);
        proposal
    }

    /// What else to verify beside a line of candidates, of what the draft held likely.
    ///
    /// `steps`: of each draft token that was drawn itself, then others that might stand there, with chances.
    /// What was drawn up to a step, and one of these, is a text. Of the places that the target's encodings of
    /// these texts have beside `line`, the `more` likeliest are taken, none less likely than `least` or deeper
    /// than `depth`.
    pub fn branches(
        &self,
        steps: &[Vec<(DraftId, f64)>],
        line: &[TargetId],
        more: usize,
        least: f64,
        depth: usize,
    ) -> Candidates {
        let mut drawn = Vec::with_capacity(steps.len() + 1);
        let mut texts = Vec::new();
        let mut reach = 1.0;
        for step in steps {
            let Some((&(next, chance), others)) = step.split_first() else { break };
            texts.extend(
                others
                    .iter()
                    .filter(|(other, _)| *other != next)
                    .map(|&(other, chance)| (drawn.len(), other, reach * known(chance))),
            );
            drawn.push(next);
            reach *= known(chance);
        }
        texts.retain(|text| text.2 > 0.0);
        texts.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut tree = Tree::new(line, depth);
        let mut ids = Vec::new();
        for (taken, other, worth) in texts {
            ids.clear();
            ids.extend_from_slice(&drawn[..taken]);
            ids.push(other);
            tree.add(&self.propose(&ids), worth);
        }
        tree.best(more, least)
    }

    /// Encodes `bytes` for the target; false if what follows cannot be proposed.
    fn write(&self, bytes: &mut Vec<u8>, first: &mut bool, proposal: &mut Vec<TargetId>) -> bool {
        let unfinished = utf8::pending(bytes);
        let mut text = &bytes[..bytes.len() - unfinished];
        let spaced;
        if std::mem::take(first) {
            let stretch = &self.stretch;
            let unseen = &stretch.text.text()[stretch.text.ends().last().copied().unwrap_or(0)..];
            // the draft could not be shown these bytes, so it must draft them again
            let Some(rest) = text.strip_prefix(unseen) else { return text.is_empty() };
            text = rest;
            if stretch.opening && !text.is_empty() {
                let (target, draft) = (self.bridge.target().vocab(), self.bridge.draft().vocab());
                spaced = respace(text, draft.dummy_prefix(), target.dummy_prefix());
                text = &spaced;
            }
        }
        let encoded = self.bridge.target().encode_bytes(text);
        let complete = unfinished == 0 && encoded.is_some();
        proposal.extend(encoded.unwrap_or_default());
        bytes.clear();
        complete
    }

    /// Appends target tokens; `drafted` is what the draft drew after its view.
    pub fn commit(&mut self, ids: &[TargetId], drafted: &[DraftId]) -> Commit {
        self.shown.truncate(self.view.len());
        self.shown.extend_from_slice(drafted);
        let before = self.committed.bytes().len();
        let bridge = Arc::clone(&self.bridge);
        let (target, draft) = (bridge.target().vocab(), bridge.draft().vocab());
        let mut changed = self.view.len();
        let mut bytes = Vec::new();
        for &id in ids {
            if target.kind(id) == Kind::Special {
                changed = changed.min(self.write_view(&bytes));
                bytes.clear();
                self.view.extend(bridge.translation().to_draft(id));
                let text = Retokenizer::new(bridge.draft().clone());
                self.stretch = Stretch { base: self.view.len(), text, opening: true };
            } else {
                let new = target.bytes(id);
                if !new.is_empty() && std::mem::take(&mut self.stretch.opening) {
                    bytes.extend(respace(new, target.dummy_prefix(), draft.dummy_prefix()));
                } else {
                    bytes.extend_from_slice(new);
                }
            }
        }
        changed = changed.min(self.write_view(&bytes));
        let text = self.committed.push(ids);
        let bytes = self.committed.bytes()[before..].to_vec();
        Commit { text, bytes, splice: self.show(changed) }
    }

    /// The text of an unfinished code point at the very end.
    pub fn finish(&mut self) -> String {
        self.committed.finish()
    }

    /// Appends text to the present stretch; returns the first index of the view that changed.
    fn write_view(&mut self, bytes: &[u8]) -> usize {
        let stretch = &mut self.stretch;
        let splice = stretch.text.push(bytes);
        let changed = stretch.base + splice.keep;
        self.view.truncate(changed);
        self.view.extend(splice.append);
        changed
    }

    /// The splice from what was shown to the view, given that they agree before `changed`.
    fn show(&mut self, changed: usize) -> Splice<DraftId> {
        let changed = changed.min(self.shown.len());
        let keep = changed + common_prefix(&self.shown[changed..], &self.view[changed..]);
        self.shown.truncate(keep);
        self.shown.extend_from_slice(&self.view[keep..]);
        Splice { keep, append: self.view[keep..].to_vec() }
    }
}

/// The first bytes of a text as the other tokenizer writes them: without the space that one puts
/// there, with the space that the other does.
fn respace(bytes: &[u8], has: bool, wants: bool) -> Vec<u8> {
    let bare = if has { bytes.strip_prefix(b" ").unwrap_or(bytes) } else { bytes };
    let mut text = Vec::with_capacity(bare.len() + 1);
    if wants {
        text.push(b' ');
    }
    text.extend_from_slice(bare);
    text
}

/// A chance, or none where a draft's numbers are broken.
fn known(chance: f64) -> f64 {
    if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 }
}
