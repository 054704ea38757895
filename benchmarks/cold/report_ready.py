"""What the programs beside this file report when they have their first answer."""

import sys


def report_ready(answer: object) -> None:
    """Print a line at once, then one with the number of threads and of sockets that the process has."""
    if answer != "first":
        sys.exit(f"not the stored value: {answer!r}")
    print("answered", flush=True)
    import os
    import threading

    sockets = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            sockets += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
        except OSError:
            continue  # that of the listing itself
    print(max(threading.active_count(), len(os.listdir("/proc/self/task"))), sockets)
