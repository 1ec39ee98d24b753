"""Runs the steps on the connection that `present.migrate` hands over."""

from alembic import context

from vanished.archive import present

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=present.metadata,
    render_as_batch=True,  # SQLite cannot alter a table in place
)
with context.begin_transaction():
    context.run_migrations()
