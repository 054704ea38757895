"""The tests on the releases of PostgreSQL that are supported."""
