"""Other implementations of DynamoDB, as witnesses of what the contract suite takes for granted of it."""
