"""The migration from DynamoDB to PostgreSQL: export, import, copy, validation and replay, without losing a row."""
