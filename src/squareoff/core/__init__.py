"""What we decide. Pure: (state, input, now) -> facts and commands; no await, clock or files."""
