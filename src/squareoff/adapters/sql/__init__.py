"""The SQL store: trackers, journal and their projections, on SQLite or PostgreSQL."""
