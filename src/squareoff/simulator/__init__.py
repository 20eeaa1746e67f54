"""The rehearsal: a DhanHQ-compatible broker with a market, and every fault one can ask of it."""
