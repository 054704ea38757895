"""What tests and benchmarks share: real servers, proxies, helper threads, operations, and what records them."""
