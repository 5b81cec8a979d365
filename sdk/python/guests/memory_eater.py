"""Takes memory until there is none where the routing key is eat."""

from shunt_route import Fields, Route, text


class MemoryEater(Route):
    name = "memory-eater"
    version = "1.0.0"

    class Header(Fields):
        routing_key: str = text("routing_key")

    def route(self, header, bindings, destinations):
        eaten = []
        while header.routing_key == "eat":
            eaten.append(bytearray(1 << 20))
        destinations.add(0)
