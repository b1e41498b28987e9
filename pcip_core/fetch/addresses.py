"""Which addresses a download may use: a server cannot send pcip to another server of this machine or its network."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def refusal(url: str, *, source: str) -> str | None:
    """The reason for which an address that came from elsewhere is not used, or None.

    A local address (loopback, private or link-local) must have the host and the port of its source.

    Args:
        url: the address.
        source: the address of the page or the redirect that names it.

    >>> refusal("http://127.0.0.1:3000/graphql", source="http://127.0.0.1:8000/a.jpg")
    'leads to http://127.0.0.1:3000, an address of this machine or its network'
    >>> refusal("http://127.0.0.1:8000/b.jpg", source="http://127.0.0.1:8000/a.jpg")
    """
    try:
        origin = _origin(url)
    except ValueError:
        return f"leads to {url[:100]!r}, which is not an address"
    if origin is None:
        return f"leads to {url[:100]!r}, which is not a web address (http:// or https://)"
    scheme, host, port = origin
    if origin == _origin(source) or not _is_local(host):
        return None
    return f"leads to {scheme}://{host}:{port}, an address of this machine or its network"


def _origin(url: str) -> tuple[str, str, int] | None:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _is_local(host: str) -> bool:
    """Whether a host has an address that is not public. A name that cannot be resolved here (a proxy may) has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found)
