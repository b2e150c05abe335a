"""Where an address is, by a GeoIP2 database."""

from functools import lru_cache
from typing import Any

from django.conf import settings

_GEOIP_FILES = ("GEOIP_CITY", "GEOIP_COUNTRY")


def locate(ip_address: str) -> str:
    """The default LOCATION: "New York, US", by the GeoIP2 database at Django's GEOIP_PATH; "" for
    an address that it does not know, and where there is no such setting."""
    place = _place(ip_address)
    return ", ".join(filter(None, (place.get("city"), place.get("country_code"))))


def coordinates(ip_address: str) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, where the database of locate() knows them."""
    place = _place(ip_address)
    latitude, longitude = place.get("latitude"), place.get("longitude")
    return None if latitude is None or longitude is None else (latitude, longitude)


def _place(ip_address: str) -> dict[str, Any]:
    path = getattr(settings, "GEOIP_PATH", None)
    if not path:
        return {}
    from geoip2.errors import AddressNotFoundError

    reader = _reader(path, *(getattr(settings, name, None) for name in _GEOIP_FILES))
    try:
        place: dict[str, Any] = reader.city(ip_address) if reader.is_city else reader.country(ip_address)
    except AddressNotFoundError:
        return {}
    return place


@lru_cache(maxsize=1)
def _reader(path: Any, city: str | None, country: str | None) -> Any:
    from django.contrib.gis.geoip2 import GeoIP2

    return GeoIP2(path, city=city, country=country)
