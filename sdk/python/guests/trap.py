"""Traps where the routing key is trap."""

from shunt_route import Fields, Route, text


class Trap(Route):
    name = "trap"
    version = "1.0.0"

    class Header(Fields):
        routing_key: str = text("routing_key")

    def route(self, header, bindings, destinations):
        if header.routing_key == "trap":
            raise RuntimeError("the routing key is trap")
        destinations.add(0)
