"""Which prices count."""
