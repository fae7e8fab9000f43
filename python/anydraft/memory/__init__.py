"""What was said before, for lookups: a text's own, and what a process has seen."""
