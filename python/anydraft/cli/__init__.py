"""The command line: ``anydraft demo`` and ``anydraft generate``."""

from anydraft.cli.app import main

__all__ = ["main"]
