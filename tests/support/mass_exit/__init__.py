"""A broker that keeps its own record of what reaches it, and half answers, for mass exits."""
