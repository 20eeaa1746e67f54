"""How the world is reached: each port of `squareoff.ports` fulfilled with real parts."""
