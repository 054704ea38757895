"""The sources of a migration: DynamoDB tables, exported files, and exports of DynamoDB to S3."""
