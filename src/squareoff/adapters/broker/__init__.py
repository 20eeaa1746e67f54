"""Brokers, one package each."""
