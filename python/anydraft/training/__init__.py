"""Train a small draft with a vocabulary of its own for a target, on text that the target itself writes."""
