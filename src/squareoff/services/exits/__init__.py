"""The exit engine: claims, decisions and their commits, and exits of the whole account."""
