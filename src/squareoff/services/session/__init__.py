"""What the broker asks of a session: token, address, clock."""
