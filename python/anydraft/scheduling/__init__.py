"""Which proposer drafts the next block, and how many tokens: one cost model, no torch."""
