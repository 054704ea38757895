"""A DynamoDB with Streams in the process of the test, whose every whim is decided by the test."""
