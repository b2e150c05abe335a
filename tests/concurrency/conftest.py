import pytest

from sessions_ext.signals import session_revoked


@pytest.fixture
def revoked_ids():
    """The ids that session_revoked carried, once for each time."""
    ids = []

    def receive(session_ids, **kwargs):
        ids.extend(session_ids)

    session_revoked.connect(receive)
    yield ids
    session_revoked.disconnect(receive)
