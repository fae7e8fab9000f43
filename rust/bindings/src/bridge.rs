use std::sync::Arc;

use anydraft_core::bridge::{self, Roles};
use anydraft_core::id::{DraftId, Id, TargetId};
use anydraft_core::{alignment, intersection};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::enter::undisturbed;
use crate::tokenizer::{Tokenizer, typed};

/// A pair of tokenizers with the tables between them.
#[pyclass(frozen, module = "anydraft._core")]
pub struct Bridge {
    pub inner: Arc<bridge::Bridge>,
}

type Table<'py> = Bound<'py, PyArray1<i64>>;

#[pymethods]
impl Bridge {
    #[new]
    fn new(
        py: Python<'_>,
        target: &Tokenizer,
        draft: &Tokenizer,
        to_target: Vec<(u32, u32)>,
        to_draft: Vec<(u32, u32)>,
    ) -> PyResult<Self> {
        let roles = Roles { to_target: pairs(to_target), to_draft: pairs(to_draft) };
        let (target, draft) = (target.inner().retype(), draft.inner().retype());
        Ok(Self { inner: Arc::new(undisturbed(py, || bridge::Bridge::new(target, draft, &roles))?) })
    }

    fn draft_to_target<'py>(&self, py: Python<'py>) -> Table<'py> {
        self.inner.translation().draft_to_target().into_pyarray(py)
    }

    fn target_to_draft<'py>(&self, py: Python<'py>) -> Table<'py> {
        self.inner.translation().target_to_draft().into_pyarray(py)
    }

    fn expansion<'py>(&self, py: Python<'py>) -> PyResult<(Table<'py>, Table<'py>)> {
        let rows = undisturbed(py, || self.inner.expansion())?;
        Ok((rows.offsets().into_pyarray(py), rows.ids().into_pyarray(py)))
    }

    fn spelling<'py>(&self, py: Python<'py>) -> PyResult<[Table<'py>; 6]> {
        let spelling = undisturbed(py, || self.inner.spelling())?;
        let tables = [
            &spelling.class_of,
            &spelling.merge_keys,
            &spelling.merge_ids,
            &spelling.crossing,
            &spelling.rest_offsets,
            &spelling.rest_ids,
        ];
        Ok(tables.map(|table| PyArray1::from_slice(py, table)))
    }

    fn pairs(&self, py: Python<'_>) -> Vec<(u32, u32)> {
        let (target, draft) = (self.inner.target().vocab(), self.inner.draft().vocab());
        let found = py.detach(|| intersection::pairs(target, draft));
        found.into_iter().map(|(t, d)| (t.raw(), d.raw())).collect()
    }

    fn coverage(&self, py: Python<'_>) -> (usize, usize, usize, usize, usize) {
        let (target, draft) = (self.inner.target().vocab(), self.inner.draft().vocab());
        let sum = py.detach(|| intersection::coverage(target, draft));
        (sum.shared, sum.target_tokens, sum.draft_tokens, sum.target_shared, sum.draft_shared)
    }

    fn shared_usage(&self, target_ids: Vec<u32>, draft_ids: Vec<u32>) -> (usize, usize) {
        let (target, draft) = (self.inner.target().vocab(), self.inner.draft().vocab());
        (
            intersection::shared_usage(target, draft, &typed::<TargetId>(target_ids)),
            intersection::shared_usage(draft, target, &typed::<DraftId>(draft_ids)),
        )
    }
}

/// Boundaries common to two lists of token ends.
#[pyfunction]
pub fn common_boundaries(left: Vec<usize>, right: Vec<usize>) -> Vec<(usize, usize, usize)> {
    let found = alignment::common_boundaries(&left, &right);
    found.into_iter().map(|at| (at.offset, at.left, at.right)).collect()
}

fn pairs<I: Id, J: Id>(raw: Vec<(u32, u32)>) -> Vec<(I, J)> {
    raw.into_iter().map(|(a, b)| (I::new(a), J::new(b))).collect()
}
