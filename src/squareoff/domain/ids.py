"""Identifiers that must not be mixed up. Each is text at run time and a type of its own to mypy."""

from typing import NewType

AccountId = NewType("AccountId", str)
"""The broker's client id of one account (`dhanClientId`)."""

TrackerId = NewType("TrackerId", str)
"""Our id of one tracked position."""

IntentId = NewType("IntentId", str)
"""Our id of one exit intent, and the correlation id of everything that belongs to that exit."""

ClientOrderId = NewType("ClientOrderId", str)
"""Our id of one order (FIX 11), made by `client_order_ids`; at most 25 of `[A-Za-z0-9_-]`."""

BrokerOrderId = NewType("BrokerOrderId", str)
"""The broker's id of one order (FIX 37). Opaque text, never a number."""
