"""Many rows in little time: the factory takes longer to build each than the database to store it."""

from copy import copy

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory


def build_many(count, **fields):
    """Sessions that are alike but for their ids, not saved yet. The fields are those of the factory."""
    session = UserSessionFactory.build(**fields)
    sessions = [copy(session) for _ in range(count)]
    for each in sessions:
        each.pk = UserSession._meta.pk.get_default()
    return sessions
