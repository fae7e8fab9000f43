use anydraft_core::memory::{self, Index, continuations};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::enter::{guarded, undisturbed};

/// Bytes of a text for which the GIL is kept while the memory is locked, so that a process that is forked by
/// another thread meanwhile does not have it locked for ever. Adding so many takes some milliseconds.
const SHORT: usize = 1 << 18;

type Continuation<'py> = (Bound<'py, PyBytes>, usize, usize);

/// What a process has seen. Threads may share it.
#[pyclass(module = "anydraft._core", frozen)]
pub struct Memory {
    inner: memory::Memory,
}

#[pymethods]
impl Memory {
    #[new]
    fn new(most: usize) -> Self {
        Self { inner: memory::Memory::new(most) }
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        guarded(py, || self.inner.count())
    }

    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        guarded(py, || self.inner.len())
    }

    fn allocated(&self, py: Python<'_>) -> PyResult<usize> {
        guarded(py, || self.inner.allocated())
    }

    fn add(&self, py: Python<'_>, text: &[u8]) -> PyResult<()> {
        let add = || self.inner.add(text);
        if text.len() <= SHORT { guarded(py, add) } else { undisturbed(py, add) }
    }

    fn decodes(&self) -> u64 {
        self.inner.decodes()
    }

    fn number_decode(&self) -> u64 {
        self.inner.number_decode()
    }

    fn restore(&self, py: Python<'_>, decodes: u64, documents: Vec<PyBackedBytes>) -> PyResult<()> {
        self.inner.skip_decodes(decodes);
        undisturbed(py, || self.inner.restore(documents.iter().map(|text| &**text)))
    }

    fn documents<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let documents = guarded(py, || self.inner.documents())?;
        Ok(documents.iter().map(|text| PyBytes::new(py, text)).collect())
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        guarded(py, || self.inner.clear())
    }
}

/// The text of one sequence, which is looked up in itself and in a memory. It has one owner.
#[pyclass(module = "anydraft._core")]
pub struct Text {
    inner: Index,
}

#[pymethods]
impl Text {
    #[new]
    fn new(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let made = || {
            let mut inner = Index::new(memory::MOST);
            inner.push(data);
            inner
        };
        Ok(Self { inner: undisturbed(py, made)? })
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn push(&mut self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        guarded(py, || self.inner.push(data))
    }

    #[pyo3(signature = (wanted, most, memory=None))]
    fn continuations<'py>(
        &self,
        py: Python<'py>,
        wanted: usize,
        most: usize,
        memory: Option<&Memory>,
    ) -> PyResult<Vec<Continuation<'py>>> {
        let memory = memory.map(|memory| &memory.inner);
        let found = guarded(py, || continuations(&self.inner, memory, wanted, most))?;
        Ok(found.into_iter().map(|one| (PyBytes::new(py, &one.bytes), one.length, one.count)).collect())
    }
}
