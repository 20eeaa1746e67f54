"""What we hold: the book of positions, what the broker shows, and where the two differ."""
