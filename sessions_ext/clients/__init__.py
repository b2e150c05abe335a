"""Who is calling: address, device and place. Each answer comes from a dotted path
that a project can change, and a failure here never fails a login."""

from .addresses import network, normalise_ip, remote_address
from .callers import Client, client_device, client_ip, describe, device
from .devices import describe_device, kind_of_device
from .places import coordinates, locate

__all__ = [
    "Client",
    "client_device",
    "client_ip",
    "coordinates",
    "describe",
    "describe_device",
    "device",
    "kind_of_device",
    "locate",
    "network",
    "normalise_ip",
    "remote_address",
]
