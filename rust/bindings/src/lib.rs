//! The extension module `anydraft._core`: conversion between Python and Rust values, no algorithm.

use pyo3::prelude::*;

mod bridge;
mod enter;
mod memory;
mod session;
mod streams;
mod tokenizer;

#[pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::bridge::{Bridge, common_boundaries};
    #[pymodule_export]
    use crate::memory::{Memory, Text};
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::streams::{Detokenizer, Retokenizer};
    #[pymodule_export]
    use crate::tokenizer::{Tokenizer, fingerprint, tiktoken_fingerprint};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::enter::quiet_panics();
        if cfg!(debug_assertions) {
            crate::enter::warn_debug_build(module.py())?;
        }
        Ok(())
    }
}
