"""Two tokenizers as bytes, joined: what they share, how one writes the other, prompts and special tokens."""
