"""To each binding whose argument value equals the header value."""

from shunt_route import Fields, Route, anything, equal


class ByHeader(Route):
    name = "by-header"
    version = "1.0.0"

    class Header(Fields):
        value = anything("headers.value")

    def route(self, header, bindings, destinations):
        for binding in bindings:
            if equal(binding.arguments.get("value"), header.value):
                destinations.add(binding.index)
