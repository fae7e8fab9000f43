"""Drafting for an inference server: many requests, one draft model, verification by the server itself."""
