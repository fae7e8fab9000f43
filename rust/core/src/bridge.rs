//! Everything precomputed for a pair of tokenizers. Immutable; share it with an `Arc`.

use std::sync::OnceLock;

use crate::encode::Tokenizer;
use crate::expansion::Expansion;
use crate::id::{DraftId, Id, TargetId};
use crate::spelling::Spelling;
use crate::translation::Translation;

/// Which control tokens of the two sides mean the same, in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roles {
    /// What a drafted control token proposes.
    pub to_target: Vec<(DraftId, TargetId)>,
    /// What the draft is shown for a control token of the target.
    pub to_draft: Vec<(TargetId, DraftId)>,
}

/// A target tokenizer, a draft tokenizer and the tables between them.
pub struct Bridge {
    target: Tokenizer<TargetId>,
    draft: Tokenizer<DraftId>,
    roles: Roles,
    translation: Translation,
    expansion: OnceLock<Expansion>,
    spelling: OnceLock<Spelling>,
}

impl Bridge {
    /// Builds the tables; control tokens with the same content are partners unless `roles` says
    /// otherwise. The expansion and the spelling are built when first asked for.
    pub fn new(target: Tokenizer<TargetId>, draft: Tokenizer<DraftId>, roles: &Roles) -> Self {
        let roles = with_namesakes(&target, &draft, roles);
        let translation = Translation::new(target.vocab(), draft.vocab(), &roles.to_target, &roles.to_draft);
        Self { target, draft, roles, translation, expansion: OnceLock::new(), spelling: OnceLock::new() }
    }

    /// The target's tokenizer.
    pub fn target(&self) -> &Tokenizer<TargetId> {
        &self.target
    }

    /// The draft's tokenizer.
    pub fn draft(&self) -> &Tokenizer<DraftId> {
        &self.draft
    }

    /// The control tokens that are partners.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// The dense tables.
    pub fn translation(&self) -> &Translation {
        &self.translation
    }

    /// φ: every draft token as target tokens.
    pub fn expansion(&self) -> &Expansion {
        self.expansion.get_or_init(|| Expansion::new(&self.target, self.draft.vocab(), &self.translation))
    }

    /// The tables of class coupling.
    pub fn spelling(&self) -> &Spelling {
        self.spelling.get_or_init(|| Spelling::new(&self.target, &self.draft, &self.translation))
    }
}

fn with_namesakes(target: &Tokenizer<TargetId>, draft: &Tokenizer<DraftId>, given: &Roles) -> Roles {
    let mut roles = Roles::default();
    let drafts = draft.vocab().specials();
    for (t, name) in target.vocab().specials() {
        if let Some(&(d, _)) = drafts.iter().find(|(_, other)| *other == name) {
            roles.to_target.push((d, t));
            roles.to_draft.push((t, d));
        }
    }
    // later entries win in the tables
    roles.to_target.extend(given.to_target.iter().filter(|(d, t)| known(draft, *d) && known(target, *t)));
    roles.to_draft.extend(given.to_draft.iter().filter(|(t, d)| known(draft, *d) && known(target, *t)));
    roles
}

fn known<I: Id>(tokenizer: &Tokenizer<I>, id: I) -> bool {
    id.index() < tokenizer.vocab().len()
}
