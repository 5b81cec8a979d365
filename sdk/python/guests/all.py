"""All guests in one component, which is large: the exchange's argument x-guest says which it is."""

import by_header
import capabilities
import endless_loop
import fixed
import hash
import memory_eater
import refuse
import trap

from shunt_route import Fields, Route, anything

GUESTS = {
    guest.name: guest
    for guest in (
        by_header.ByHeader, capabilities.Capabilities, endless_loop.EndlessLoop, fixed.Fixed, hash.Hash,
        memory_eater.MemoryEater, refuse.Refuse, trap.Trap,
    )
}


class All(Route):
    name = "all"
    version = "1.0.0"
    wants = ["clock", "random", "load", "state"]

    class Header(Fields):
        routing_key = anything("routing_key")
        value = anything("headers.value")
        reason = anything("headers.reason")

    def configure(self, exchange):
        self.guest = GUESTS[exchange.arguments.text("x-guest")]()
        self.guest.configure(exchange)

    def check_binding(self, binding):
        self.guest.check_binding(binding)

    def route(self, header, bindings, destinations):
        found = dict(zip(self.Header.reads(), vars(header).values()))
        own = self.guest.Header([found[name] for name in self.guest.Header.reads()])
        self.guest.route(own, bindings, destinations)
