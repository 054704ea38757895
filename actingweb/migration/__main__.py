"""Run `actingweb-db migrate` as `python -m actingweb.migration`."""

from actingweb.cli.launch import script

if __name__ == "__main__":
    script()
