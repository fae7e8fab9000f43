use std::collections::BTreeMap;

use anydraft_core::encode;
use anydraft_core::id::{Id, TokenId};
use anydraft_core::vocab::Kind;
use anydraft_hf::{Loaded, Surface};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::enter::{detached, undisturbed};

/// A tokenizer as bytes.
#[pyclass(frozen, module = "anydraft._core")]
pub struct Tokenizer {
    loaded: Loaded,
}

impl Tokenizer {
    pub fn inner(&self) -> &encode::Tokenizer<TokenId> {
        &self.loaded.tokenizer
    }
}

#[pymethods]
impl Tokenizer {
    #[staticmethod]
    #[pyo3(signature = (json, rows=None))]
    fn from_json(py: Python<'_>, json: &str, rows: Option<u32>) -> PyResult<Self> {
        let loaded =
            detached(py, "TokenizerError", || anydraft_hf::from_json_within(json, rows).map_err(refused))?;
        Ok(Self { loaded })
    }

    #[staticmethod]
    fn from_tiktoken(
        py: Python<'_>,
        ranks: Vec<(Vec<u8>, u32)>,
        specials: Vec<(String, u32)>,
        pattern: &str,
    ) -> PyResult<Self> {
        let loaded = detached(py, "TokenizerError", || {
            anydraft_hf::from_tiktoken(ranks, specials, pattern).map_err(refused)
        })?;
        Ok(Self { loaded })
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        &self.loaded.fingerprint
    }

    #[getter]
    fn string_lossy(&self) -> bool {
        self.loaded.string_lossy
    }

    #[getter]
    fn missing_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.loaded.missing_bytes)
    }

    #[getter]
    fn surface(&self) -> &'static str {
        match self.loaded.surface {
            Surface::ByteLevel => "byte-level",
            Surface::SentencePiece => "sentencepiece",
        }
    }

    #[getter]
    fn dummy_prefix(&self) -> bool {
        self.inner().vocab().dummy_prefix()
    }

    #[getter]
    fn special_tokens(&self) -> BTreeMap<u32, String> {
        self.inner().vocab().specials().into_iter().map(|(id, name)| (id.raw(), name.to_owned())).collect()
    }

    fn __len__(&self) -> usize {
        self.inner().vocab().len()
    }

    fn bytes<'py>(&self, py: Python<'py>, token_id: u32) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner().vocab().bytes(TokenId::new(token_id)))
    }

    fn kind(&self, token_id: u32) -> &'static str {
        match self.inner().vocab().kind(TokenId::new(token_id)) {
            Kind::Text => "text",
            Kind::Added => "added",
            Kind::Byte => "byte",
            Kind::Special => "special",
            Kind::Unused => "unused",
        }
    }

    fn find(&self, data: &[u8]) -> Option<u32> {
        self.inner().vocab().find(data).map(Id::raw)
    }

    fn encode(&self, py: Python<'_>, text: &[u8]) -> PyResult<Option<Vec<u32>>> {
        Ok(undisturbed(py, || self.inner().encode_bytes(text))?.map(raw))
    }

    fn decode<'py>(&self, py: Python<'py>, ids: Vec<u32>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner().vocab().decode(&typed::<TokenId>(ids)))
    }
}

fn refused(reason: anydraft_hf::Error) -> String {
    format!(
        "got one that cannot be compared byte by byte ({reason}); expected byte-level BPE (as of GPT-2, \
         Llama 3, Qwen, tiktoken) or SentencePiece style (as of Llama 2, Gemma). Choose a model with one of these"
    )
}

/// The fingerprint that a tokenizer read from this JSON has.
#[pyfunction]
pub fn fingerprint(py: Python<'_>, json: &str) -> String {
    py.detach(|| anydraft_hf::fingerprint(json))
}

/// The fingerprint that a tokenizer made of these parts has.
#[pyfunction]
pub fn tiktoken_fingerprint(
    py: Python<'_>,
    ranks: Vec<(Vec<u8>, u32)>,
    specials: Vec<(String, u32)>,
    pattern: &str,
) -> String {
    py.detach(|| anydraft_hf::tiktoken_fingerprint(ranks, &specials, pattern))
}

pub fn typed<I: Id>(ids: Vec<u32>) -> Vec<I> {
    ids.into_iter().map(I::new).collect()
}

pub fn raw<I: Id>(ids: Vec<I>) -> Vec<u32> {
    ids.into_iter().map(Id::raw).collect()
}
