"""anydraft: any small model drafts for any large one, losslessly."""
