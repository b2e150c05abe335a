"""Who is calling: the place."""

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from sessions_ext.clients import (
    coordinates,
    locate,
)
from tests.clients.logins import log_in_with


@pytest.fixture
def geoip(tmp_path, settings):
    """Writes a GeoIP2 database of that edition, and has Django use it."""

    def write(edition="GeoLite2-City"):
        place = {
            "city": {"names": {"en": "New York"}},
            "country": {"iso_code": "US", "names": {"en": "United States"}},
            "location": {"latitude": 40.71, "longitude": -74.0},
        }
        networks = MMDBWriter(6, edition, languages=["en"], ipv4_compatible=True)
        networks.insert_network(IPSet(["203.0.113.0/24", "2001:db8:7::/48"]), place)
        networks.insert_network(IPSet(["198.51.100.0/24"]), {"country": place["country"]})
        networks.insert_network(IPSet(["192.0.2.0/24"]), {"registered_country": place["country"]})
        path = tmp_path / f"{edition}.mmdb"
        networks.to_db_file(str(path))
        settings.GEOIP_PATH = str(tmp_path)
        return path

    return write


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.9", "New York, US"),
        ("2001:db8:7::9", "New York, US"),
        ("198.51.100.9", "US"),
        ("192.0.2.9", ""),
        ("127.0.0.1", ""),
        ("10.0.0.1", ""),
        ("::1", ""),
    ],
)
@pytest.mark.django_db
def test_a_login_is_located(geoip, caplog, address, place):
    geoip()
    assert log_in_with(REMOTE_ADDR=address).location == place
    assert coordinates(address) == ((40.71, -74.0) if "New York" in place else None)
    assert not caplog.records


def test_a_database_of_countries_will_do(geoip):
    geoip("GeoLite2-Country")
    assert locate("203.0.113.9") == "US"
    assert coordinates("203.0.113.9") is None


@pytest.mark.parametrize("path", [None, ""])
@pytest.mark.django_db
def test_without_a_database_nobody_is_located_and_nothing_is_said(settings, caplog, path):
    settings.GEOIP_PATH = path
    assert log_in_with(REMOTE_ADDR="203.0.113.9").location == ""
    assert not caplog.records


def corrupt(path):
    path.write_bytes(b"not a database")


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def empty(path):
    path.write_bytes(b"")


def drop(path):
    path.unlink()


@pytest.mark.parametrize("harm", [corrupt, cut, empty, drop])
@pytest.mark.django_db
def test_a_missing_or_corrupt_database_costs_a_warning_and_no_login(geoip, caplog, harm):
    path = geoip()
    harm(path)
    session = log_in_with(REMOTE_ADDR="203.0.113.9")
    assert (session.ip_address, session.location) == ("203.0.113.9", "")
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert (record.levelname, "clients.locate" in record.getMessage()) == ("WARNING", True)
    caplog.clear()
    geoip()
    assert log_in_with(REMOTE_ADDR="203.0.113.9").location == "New York, US"
    assert not caplog.records
