"""One table of operations: tests and benchmarks count their requests, benchmarks time them."""
