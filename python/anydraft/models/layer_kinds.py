"""The kinds of layers that a configuration names, by what they keep of a text. Needs no library."""

ATTENTION = frozenset(
    {"full_attention", "sliding_attention", "chunked_attention", "indexed_attention", "moe", "mlp"}
)
"""Kinds whose whole cache is keys and values, or nothing."""

CONVOLUTION = "conv"
"""The kind whose whole state is the last inputs of a convolution."""
