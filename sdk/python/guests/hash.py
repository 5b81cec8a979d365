"""To one binding, by FNV-1a of the routing key."""

from shunt_route import Fields, Route, text


class Hash(Route):
    name = "hash"
    version = "1.0.0"

    class Header(Fields):
        routing_key: str = text("routing_key")

    def route(self, header, bindings, destinations):
        if bindings:
            destinations.add(fnv1a(header.routing_key.encode()) % len(bindings))


def fnv1a(data: bytes) -> int:
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 % (1 << 64)
    return found
