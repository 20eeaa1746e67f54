"""Redis: newest ticks, shared by several processes."""
