"""One property read through PynamoDB alone."""

import os

from pynamodb.attributes import UnicodeAttribute
from pynamodb.models import Model
from report_ready import report_ready  # type: ignore[import-not-found]


class Property(Model):
    """The stored item."""

    class Meta:
        """Where it is."""

        table_name = f"{os.environ['AWS_DB_PREFIX']}_properties"
        host = os.environ["AWS_DB_HOST"]
        region = os.environ["AWS_DEFAULT_REGION"]

    id = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)
    value = UnicodeAttribute()


report_ready(Property.get("cold-actor", "word", consistent_read=True).value)
