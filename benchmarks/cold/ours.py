"""One property read through this library, on the backend that DATABASE_BACKEND names."""

from report_ready import report_ready  # type: ignore[import-not-found]

from actingweb.db import get_property, load_backend

report_ready(get_property(load_backend()).get(actor_id="cold-actor", name="word"))
