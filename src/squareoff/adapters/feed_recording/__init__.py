"""The market feed written to files as it came in, and read back (docs/recording.md)."""
