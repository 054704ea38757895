"""One property read through this library, on the backend that DATABASE_BACKEND names."""

from told import tell  # type: ignore[import-not-found]

from actingweb.db import get_property, load_backend

tell(get_property(load_backend()).get(actor_id="cold-actor", name="word"))
