"""Seeded histories of the live migration: the real engine on a fake DynamoDB and a real PostgreSQL."""
