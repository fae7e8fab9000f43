"""Logits to laws and draws, and verdicts on drafted tokens."""
