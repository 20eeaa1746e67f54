"""Throw-away PostgreSQL and Redis servers for tests: loopback only, own folder, ended by pid."""
