"""Paper trading: a broker inside this process that fills orders against the live market's ticks."""
