"""Rules of the account by the page alone, held against the engine's sums on random days."""
