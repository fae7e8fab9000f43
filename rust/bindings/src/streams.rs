use anydraft_core::id::TokenId;
use anydraft_core::{detokenizer, retokenizer};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::enter::guarded;
use crate::tokenizer::{Tokenizer, raw, typed};

/// Ids to text, piece by piece.
#[pyclass(module = "anydraft._core")]
pub struct Detokenizer {
    inner: detokenizer::Detokenizer<TokenId>,
}

#[pymethods]
impl Detokenizer {
    #[new]
    fn new(tokenizer: &Tokenizer) -> Self {
        Self { inner: detokenizer::Detokenizer::new(tokenizer.inner().vocab().clone()) }
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.bytes())
    }

    fn pending<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.pending())
    }

    fn push(&mut self, ids: Vec<u32>) -> String {
        self.inner.push(&typed(ids))
    }

    fn truncate(&mut self, length: usize) {
        self.inner.truncate(length);
    }

    fn finish(&mut self) -> String {
        self.inner.finish()
    }
}

/// Text to ids, piece by piece: always the ids of the whole text.
#[pyclass(module = "anydraft._core")]
pub struct Retokenizer {
    inner: retokenizer::Retokenizer<TokenId>,
}

#[pymethods]
impl Retokenizer {
    #[new]
    fn new(tokenizer: &Tokenizer) -> Self {
        Self { inner: retokenizer::Retokenizer::new(tokenizer.inner().clone()) }
    }

    fn text<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.text())
    }

    fn ids(&self) -> Vec<u32> {
        raw(self.inner.ids().to_vec())
    }

    fn ends(&self) -> Vec<usize> {
        self.inner.ends().to_vec()
    }

    fn push(&mut self, py: Python<'_>, text: &[u8]) -> PyResult<(usize, Vec<u32>)> {
        let splice = guarded(py, || self.inner.push(text))?;
        Ok((splice.keep, raw(splice.append)))
    }

    fn truncate(&mut self, py: Python<'_>, length: usize) -> PyResult<(usize, Vec<u32>)> {
        let splice = guarded(py, || self.inner.truncate(length))?;
        Ok((splice.keep, raw(splice.append)))
    }
}
