"""What alembic runs to migrate; the connection and its transaction are handed in and stay the caller's."""

from alembic import context

# Without this, alembic takes SQLite for a database whose DDL cannot be rolled back.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
