"""How many e-mails about new devices a user gets in a day."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import mail

from sessions_ext.models import UserSession
from sessions_ext.new_device import MAILS_A_DAY
from sessions_ext.testing import UserSessionFactory
from tests.new_device.signing_in import AWAY, HOME, IPHONE, LINUX, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def known(user):
    """Signed in yesterday, at home."""
    at = NOON - timedelta(days=1)
    UserSessionFactory(user=user, created_at=at, ip_address=HOME, user_agent=LINUX)


def sign_in_many(user, clock, logins):
    for login in logins:
        clock.shift(1)
        sign_in(user, **login)


WAYS = {
    "from elsewhere each time": [{"address": f"198.51.{number}.1"} for number in range(12)],
    "with another program each time": [{"agent": f"tool{number}/1"} for number in range(12)],
    "from an unknown address": [{"address": "unix:"}] * 12,
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("logins", WAYS.values(), ids=WAYS)
def test_ten_a_day_and_one_line_in_the_log(user, clock, logins, caplog):
    sign_in_many(user, clock, logins)
    assert len(mail.outbox) == MAILS_A_DAY
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert record.levelname == "WARNING"
    assert str(user.pk) in record.getMessage()
    clock.shift(12 * 3600)
    sign_in(user, agent=IPHONE, address=AWAY)
    assert len(mail.outbox) == MAILS_A_DAY + 1


@pytest.mark.usefixtures("known")
def test_a_thief_who_comes_again_and_again_is_told_of_ten_times(user, clock):
    sign_in(user, agent=IPHONE, address=AWAY).disown()
    sign_in_many(user, clock, [{"agent": IPHONE, "address": AWAY}] * 12)
    assert len(mail.outbox) == MAILS_A_DAY


@pytest.mark.usefixtures("known")
def test_known_devices_use_nothing_up(user, clock):
    """A program that signs in all day, from networks that it is known in."""
    networks = [f"192.0.{number}.1" for number in range(6)]
    at = NOON - timedelta(days=2)
    rows = [
        UserSessionFactory.build(user=user, created_at=at, ip_address=address, user_agent=LINUX)
        for address in networks
    ]
    UserSession.objects.bulk_create(rows)
    sign_in_many(user, clock, [{"address": address} for address in networks] * 2)
    assert mail.outbox == []
    sign_in(user, agent=IPHONE, address=AWAY)
    assert len(mail.outbox) == 1


def test_a_program_whose_version_is_another_each_time_uses_nothing_up(user, clock):
    UserSessionFactory(
        user=user, created_at=NOON - timedelta(days=1), ip_address=HOME, user_agent="deploy/1.0"
    )
    sign_in_many(user, clock, [{"agent": f"deploy/1.{number}"} for number in range(1, 13)])
    assert mail.outbox == []
    sign_in(user, agent=IPHONE, address=AWAY)
    assert len(mail.outbox) == 1


@pytest.mark.usefixtures("known")
def test_a_thief_in_ones_own_network_uses_nothing_up(user, clock):
    """One who was disowned, with another device."""
    thief = UserSessionFactory(
        user=user, created_at=NOON - timedelta(hours=20), ip_address=HOME, user_agent=IPHONE
    )
    thief.disown()
    sign_in_many(user, clock, [{}] * 12)
    assert mail.outbox == []
    sign_in(user, agent=IPHONE, address=AWAY)
    assert len(mail.outbox) == 1


@pytest.mark.usefixtures("known")
def test_the_mails_of_others_are_not_ones_own(user, clock):
    other = UserSessionFactory().user
    other.email = "other@example.com"
    other.save()
    sign_in_many(other, clock, [{"address": f"198.51.{number}.1"} for number in range(12)])
    mail.outbox.clear()
    sign_in(user, agent=IPHONE, address=AWAY)
    assert len(mail.outbox) == 1
