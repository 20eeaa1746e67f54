"""Close positions at the broker exactly once, confirmed by its word, proved by a journal."""

__version__ = "0.1.0"
