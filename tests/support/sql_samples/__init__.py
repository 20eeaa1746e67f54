"""Samples for tests of the SQL store: legal histories of trackers, and filled-in trackers."""
