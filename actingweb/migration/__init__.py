"""The way from DynamoDB to PostgreSQL: export, import, copy and validate, without losing a row."""
