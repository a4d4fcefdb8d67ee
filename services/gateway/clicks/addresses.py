"""Addresses of those who call, as text; read here only, and kept by nobody."""

from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


def read_address(text: str) -> Address | None:
    """Return the address, None for what is none. A socket for both says of an IPv4 peer `::ffff:192.0.2.1`."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
