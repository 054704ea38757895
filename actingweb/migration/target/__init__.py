"""The target of a migration: a schema in PostgreSQL."""
