//! Entering Rust: the GIL is released, errors become the package's own exceptions, and so do panics, which can
//! come from the libraries that read other people's files.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::PyType;

thread_local! {
    /// Whether a panic on this thread will be caught, and need not be printed.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` without the GIL.
pub fn detached<T: Send, E: Display + Send>(
    py: Python<'_>,
    exception: &str,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    py.detach(|| caught(work))
        .map_err(|reason| raise(py, "TokenizerError", &reason))?
        .map_err(|error| raise(py, exception, &error))
}

/// Runs `work` without the GIL, where only a panic can go wrong.
pub fn undisturbed<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| caught(work)).map_err(|reason| raise(py, "TokenizerError", &reason))
}

/// Runs a short `work`, for which the GIL is kept, where only a panic can go wrong.
pub fn guarded<T>(py: Python<'_>, work: impl FnOnce() -> T) -> PyResult<T> {
    caught(work).map_err(|reason| raise(py, "TokenizerError", &reason))
}

/// The result of `work`, or a sentence if it panics.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    // What panicked is given up or says nothing wrong afterwards: vocabularies do not change, and a stream whose
    // change failed is not used again after an exception.
    let result = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    result.map_err(|panic| {
        let told = told(&*panic);
        format!("got one that the tokenizers library fails on ({told}); expected one that it can run. Choose another model")
    })
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

/// Keeps panics that are caught off standard error; others are printed as before.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                before(panic);
            }
        }));
    });
}

/// The longest sentence, in characters: what a file says is quoted in it, and may be long.
const LONGEST: usize = 2000;

/// A sentence, without its middle if it is longer than [`LONGEST`].
fn shortened(sentence: String) -> String {
    let length = sentence.chars().count();
    if length <= LONGEST {
        return sentence;
    }
    let first: String = sentence.chars().take(LONGEST / 2).collect();
    let last: String = sentence.chars().skip(length - LONGEST / 2).collect();
    format!("{first}...{last}")
}

/// The named exception of `anydraft.errors` with the error's own sentence.
pub fn raise(py: Python<'_>, exception: &str, error: &dyn Display) -> PyErr {
    let class = py
        .import("anydraft.errors")
        .and_then(|module| module.getattr(exception))
        .and_then(|class| class.cast_into::<PyType>().map_err(Into::into));
    match class {
        Ok(class) => PyErr::from_type(class, shortened(error.to_string())),
        Err(error) => error,
    }
}

pub fn warn_debug_build(py: Python<'_>) -> PyResult<()> {
    let message = c"anydraft._core is a debug build and slow; build it with `maturin develop --release`";
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), message, 1)
}
