//! Entering Rust: the GIL is released, errors become the package's own exceptions.

use std::fmt::Display;

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Runs `work` without the GIL.
pub fn detached<T: Send, E: Display + Send>(
    py: Python<'_>,
    exception: &str,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(|error| raise(py, exception, &error))
}

/// The named exception of `anydraft.errors` with the error's own sentence.
pub fn raise(py: Python<'_>, exception: &str, error: &dyn Display) -> PyErr {
    let class = py
        .import("anydraft.errors")
        .and_then(|module| module.getattr(exception))
        .and_then(|class| class.cast_into::<PyType>().map_err(Into::into));
    match class {
        Ok(class) => PyErr::from_type(class, error.to_string()),
        Err(error) => error,
    }
}

pub fn warn_debug_build(py: Python<'_>) -> PyResult<()> {
    let message = c"anydraft._core is a debug build and slow; build it with `maturin develop --release`";
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), message, 1)
}
