"""Drive the pure exit protocol in tests: values to start from, a story teller, a model broker."""
