"""Drafting strategies: one file each, one protocol."""
