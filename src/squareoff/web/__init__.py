"""The HTTP API: people and programs ask the desk of a running engine through it."""
