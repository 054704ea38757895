"""Read actors one by one: `python -m benchmarks.iterate COUNT` prints rows, seconds and the peak of memory as JSON."""

import json
import sys
import time
from itertools import islice

from actingweb.db.postgresql.actor import DbActorList
from benchmarks.machine import peak_mib


def main() -> None:
    """Read, and print."""
    began = time.perf_counter()
    rows = sum(1 for _ in islice(DbActorList().iterate(), int(sys.argv[1])))
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began, "mib": peak_mib()}))


if __name__ == "__main__":
    main()
