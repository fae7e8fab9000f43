//! Reads tokenizers of the Hugging Face and tiktoken formats.
