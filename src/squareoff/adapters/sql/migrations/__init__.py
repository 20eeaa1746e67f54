"""The schema's revisions, applied by alembic; `schema.py` is the way in."""
