"""The table of operations. Tests and benchmarks count their requests; benchmarks measure their time."""
