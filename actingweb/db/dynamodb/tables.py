"""The name, region and endpoint of each table."""

from collections.abc import Callable
from typing import Any

from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.transport import Transport, transport_to
from actingweb.db.settings import get_settings

__all__ = ["Table", "forget_names", "names_of", "table_of"]


class _Setting:
    """A value taken from the settings at first use and kept until `forget_names`; an assigned value overrides it."""

    def __init__(self, compute: Callable[["Table"], Any]) -> None:
        self._compute = compute

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, table: "Table", owner: type) -> Any:
        if self._name in table.assigned:
            return table.assigned[self._name]
        if self._name not in table.computed:
            table.computed[self._name] = self._compute(table)
        return table.computed[self._name]

    def __set__(self, table: "Table", value: Any) -> None:
        table.assigned.pop(self._name, None)
        if value != self.__get__(table, Table):
            table.assigned[self._name] = value


class Table:
    """One table, which is also the `Meta` of its PynamoDB models.

    Attributes:
        assigned: values that the application has set, such as `table_name`.
        computed: values taken from the settings.
    """

    # PynamoDB reads these of a model's `Meta`.
    billing_mode = "PAY_PER_REQUEST"
    max_retry_attempts = 3
    connect_timeout_seconds = None
    read_timeout_seconds = None
    max_pool_connections = None
    extra_headers = None
    aws_access_key_id = None
    aws_secret_access_key = None
    aws_session_token = None

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.assigned: dict[str, Any] = {}
        self.computed: dict[str, Any] = {}

    table_name = _Setting(lambda table: table.names()[0])
    region = _Setting(lambda _: get_settings().aws_default_region)
    host = _Setting(lambda _: get_settings().aws_db_host)

    def names(self) -> list[str]:
        """Return the names that the table may have, the preferred one first; only one once it is known."""
        if "table_name" in self.assigned:
            return [self.assigned["table_name"]]
        if "names" not in self.computed:
            self.computed["names"] = names_of(get_settings().aws_db_prefix, self.suffix)
        names: list[str] = self.computed["names"]
        return names

    def settle(self, name: str) -> None:
        """Store the name that a request has confirmed."""
        if "table_name" not in self.assigned:
            self.computed.update(table_name=name, names=[name])

    def transport(self) -> Transport:
        """Return the transport to the table's endpoint."""
        return transport_to(self.region, self.host)


def names_of(prefix: str, suffix: str) -> list[str]:
    """Return the names that a table may have, the preferred one first."""
    if prefix.endswith("_"):
        # Earlier releases always put an underscore between the two.
        return [f"{prefix}{suffix}", f"{prefix}_{suffix}"]
    return [f"{prefix}_{suffix}"]


_tables: dict[str, Table] = {}


def table_of(layout: Layout) -> Table:
    """Return the one `Table` of a layout; layouts with the same suffix share it."""
    table = _tables.get(layout.suffix)
    return table or _tables.setdefault(layout.suffix, Table(layout.suffix))


def forget_names() -> None:
    """Make every table read its name, region and host from the settings again, except assigned ones."""
    for table in _tables.values():
        table.computed.clear()
