"""What tests/fidelity.py has shown of transformers' own classes; docs/models.md is the table."""

PROVEN = frozenset({"LlamaForCausalLM"})
"""They read blocks, crops, batches and padded rows as they read tokens one by one."""

ALONE = frozenset({"GPTNeoForCausalLM"})
"""They do so row by row: their own masks take the new tokens to be the last of the longest row."""

UNLIKE = {
    "DogeForCausalLM": "which keeps the keys that look largest and chooses among equal ones by rounding",
    "MoshiForCausalLM": "whose masks leave out the window that its cache keeps to, so that a block sees more "
    "than one token does",
}
"""They do not, in a way that a short trial need not show."""
