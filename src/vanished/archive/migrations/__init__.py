"""Alembic's steps from one schema of the present to the next; never edited once released."""
