"""Objects that were loaded in two ways."""


def assert_alike(found, expected):
    """Of the same model, from the same database, with the same values of the same types."""
    assert type(found) is type(expected)
    assert found._state.db == expected._state.db
    assert not found._state.adding
    for field in found._meta.concrete_fields:
        value = getattr(found, field.attname)
        assert value == getattr(expected, field.attname), field.name
        assert type(value) is type(getattr(expected, field.attname)), field.name
