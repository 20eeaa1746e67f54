"""Fuzz of what comes from the broker: order updates, REST answers, feed packets."""
