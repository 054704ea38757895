#!/usr/bin/env python3
"""Move ActingWeb data from DynamoDB to PostgreSQL: the commands of `actingweb-db migrate`, run from a clone."""

from actingweb.cli.launch import script

if __name__ == "__main__":
    script()
