"""Never ends where the routing key is loop."""

from shunt_route import Fields, Route, text


class EndlessLoop(Route):
    name = "endless-loop"
    version = "1.0.0"

    class Header(Fields):
        routing_key: str = text("routing_key")

    def route(self, header, bindings, destinations):
        while header.routing_key == "loop":
            pass
        destinations.add(0)
