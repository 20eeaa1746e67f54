"""Put one engine together from its ports. No choice is made here: `bootstrap` chooses the parts,
a simulation brings its own.

`parts` says what goes in and out, `order_side` and `price_side` make the two halves, `engine` joins
them.
"""

from squareoff.assembly.engine import assemble
from squareoff.assembly.parts import Background, Engine, EngineSettings, Ports

__all__ = ["Background", "Engine", "EngineSettings", "Ports", "assemble"]
