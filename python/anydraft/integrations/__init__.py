"""anydraft inside other frameworks: one short file each."""
