"""Which addresses a webhook may go to.

A webhook URL comes from outside, and what it names may be the machine's own services or a cloud's metadata service. So
the *resolved* addresses are judged, never the text (``0x7f.1``, ``127.1`` and a name in circled letters all come to
127.0.0.1), and one refused address refuses the name.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

__all__ = ["Address", "Network", "networks", "why_refused"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# What the standard library calls global, or does so in some versions of Python, and is not for the likes of us.
_NOT_OURS: Final = tuple(
    (ip_network(network), what)
    for network, what in (
        (
            "192.0.0.0/24",
            "an address of protocols (RFC 6890), with the metadata service of a cloud among them",
        ),
        ("192.88.99.0/24", "a retired relay of 6to4 (RFC 7526)"),
        ("168.63.129.16/32", "the platform address of Azure machines"),
        ("64:ff9b:1::/48", "a local translation prefix (RFC 8215)"),
        ("2001:20::/28", "an overlay identifier (RFC 7343)"),
        ("3fff::/20", "a documentation address (RFC 9637)"),
        ("5f00::/16", "a segment routing identifier (RFC 9602)"),
        ("fec0::/10", "a site-local address (RFC 3879)"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


def networks(texts: Sequence[str | Network]) -> tuple[Network, ...]:
    """Return the networks that *texts* name. Raises ValueError.

    >>> networks(["127.0.0.0/8"])
    (IPv4Network('127.0.0.0/8'),)
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def why_refused(address: str | Address, allowed: Sequence[Network] = ()) -> str | None:
    """Return why an address is refused, or None when a webhook may go there.

    >>> why_refused("169.254.169.254")
    'a link-local address'
    >>> why_refused("::ffff:127.0.0.1")
    'a loopback address'
    >>> why_refused("8.8.8.8") is None
    True
    """
    try:
        # A zone, as in fe80::1%eth0, says through which door; the address is the same.
        found = ip_address(address.partition("%")[0]) if isinstance(address, str) else address
    except ValueError:
        return "no address at all"
    inner = _innermost(found)
    if any(one in network for one in (found, inner) for network in allowed):
        return None
    return _why(inner)


def _innermost(address: Address) -> Address:
    """The address that packets end up at: IPv4 may be wrapped in IPv6 in five ways."""
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _why(address: Address) -> str | None:
    known = next((what for network, what in _NOT_OURS if address in network), None)
    for holds, what in (
        (address.is_unspecified, "the unspecified address"),
        (address.is_loopback, "a loopback address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (known is not None, known),
        (address.is_private, "a private address"),
        (address.is_reserved, "a reserved address"),
        (not address.is_global, "not a public address"),
    ):
        if holds:
            return what
    return None
