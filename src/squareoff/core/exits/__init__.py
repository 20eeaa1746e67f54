"""The exit protocol: from a claim to orders, and from their reports to a confirmed close."""
