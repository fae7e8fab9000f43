//! The extension module `anydraft._core`.
