"""Models that llama.cpp runs: GGUF files at their own precision, through ``llama_cpp.Llama``."""
