"""The console command `actingweb-db`, also as `python -m actingweb_db`."""

from actingweb.cli.launch import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
