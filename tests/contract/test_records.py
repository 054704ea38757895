"""Records: see test_type_checker.py for those that are made wrongly."""

import pytest

from actingweb.db.records import ActorRecord, AttributeRecord, EncodedAttribute


@pytest.mark.parametrize("values", [{"id": "a"}, {"id": "a", "creator": "c", "pasphrase": "p"}], ids=["few", "other"])
def test_a_record_needs_a_value_for_every_column_and_no_other(values: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="argument"):
        ActorRecord(**values)


def test_a_record_is_read_only() -> None:
    record = ActorRecord(id="a", creator="c", passphrase="p")
    with pytest.raises(AttributeError):
        record.id = "b"  # type: ignore[misc]


def test_an_attribute_is_written_to_the_columns_that_are_read() -> None:
    assert EncodedAttribute.fields == AttributeRecord.fields
    assert (EncodedAttribute.table, EncodedAttribute.key) == (AttributeRecord.table, AttributeRecord.key)
    assert EncodedAttribute.types["data"] is str
