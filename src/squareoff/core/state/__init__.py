"""What is known of a position, what may happen to it, and what a decision is made of."""
