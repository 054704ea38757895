"""Real servers, proxies and helper threads that tests and benchmarks share."""
