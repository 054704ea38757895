"""The parts that tests and benchmarks share: real servers, proxies, helper threads, operations, and a recorder."""
