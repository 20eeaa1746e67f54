"""A pure exchange: matching of our orders against a replayed market, and a ledger of the trades."""
