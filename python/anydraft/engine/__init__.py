"""What a decode is made of: options that are checked, and rows of two models."""
