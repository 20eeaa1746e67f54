"""The command line: runs the engine, and asks a running one through its API."""
