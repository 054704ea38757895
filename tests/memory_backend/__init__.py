"""A third-party backend: everything in this process's memory. It shows what a backend has to write."""
