"""What drafts a block of candidates: one method a file."""
