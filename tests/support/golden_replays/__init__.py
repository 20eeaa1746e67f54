"""Recorded days with rule sets, played by the engine and by an evaluator that is slow and plain.

The evaluator is written from the rules' documentation (docs/api.md, docs/square-off.md) and from
the recordings' text. It shares no code with the engine.
"""
