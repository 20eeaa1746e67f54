"""The protocol model: every state that the exit of one position can reach, explored to the end.

Two engine processes on one database, a broker and a network, with budgets for what may go wrong.
Pure Python, no clock and no chance: the same budget always gives the same states.
`python -m squareoff.simulator.protocol_model` explores; docs/protocol-model.md explains.
"""
