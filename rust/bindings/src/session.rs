use std::sync::Arc;

use anydraft_core::id::{DraftId, Id};
use anydraft_core::session;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bridge::Bridge;
use crate::enter::{guarded, undisturbed};
use crate::tokenizer::{raw, typed};

/// One sequence decoded with a bridge. It has one owner.
#[pyclass(module = "anydraft._core")]
pub struct Session {
    inner: session::Session,
}

#[pymethods]
impl Session {
    #[new]
    fn new(py: Python<'_>, bridge: &Bridge, view: Vec<u32>, prompt: Vec<u32>) -> PyResult<Self> {
        let bridge = Arc::clone(&bridge.inner);
        Ok(Self { inner: undisturbed(py, || session::Session::new(bridge, typed(view), &typed(prompt)))? })
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn view(&self) -> Vec<u32> {
        raw(self.inner.view().to_vec())
    }

    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.bytes())
    }

    fn propose(&self, py: Python<'_>, ids: Vec<u32>) -> PyResult<Vec<u32>> {
        guarded(py, || raw(self.inner.propose(&typed(ids))))
    }

    #[pyo3(signature = (steps, line, *, more, least, depth))]
    fn branches(
        &self,
        py: Python<'_>,
        steps: Vec<Vec<(u32, f64)>>,
        line: Vec<u32>,
        more: usize,
        least: f64,
        depth: usize,
    ) -> PyResult<(Vec<u32>, Vec<usize>, f64)> {
        guarded(py, || {
            let steps: Vec<Vec<_>> = steps
                .into_iter()
                .map(|step| step.into_iter().map(|(id, chance)| (DraftId::new(id), chance)).collect())
                .collect();
            let found = self.inner.branches(&steps, &typed(line), more, least, depth);
            (raw(found.ids), found.parents, found.worth)
        })
    }

    fn commit<'py>(
        &mut self,
        py: Python<'py>,
        ids: Vec<u32>,
        drafted: Vec<u32>,
    ) -> PyResult<(String, Bound<'py, PyBytes>, usize, Vec<u32>)> {
        let commit = guarded(py, || self.inner.commit(&typed(ids), &typed(drafted)))?;
        let bytes = PyBytes::new(py, &commit.bytes);
        Ok((commit.text, bytes, commit.splice.keep, raw(commit.splice.append)))
    }

    fn finish(&mut self) -> String {
        self.inner.finish()
    }
}
