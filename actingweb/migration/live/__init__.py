"""Live migration: DynamoDB and PostgreSQL are made and kept equal while the application writes.

A change only says which row changed. An applier reads the row as it is now and makes the other side equal.
"""
