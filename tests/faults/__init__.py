"""Tests under faults. `make test-faults` runs them long, `make test` short."""
