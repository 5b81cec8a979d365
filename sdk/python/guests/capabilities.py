"""Uses the capability that the routing key names."""

from shunt_route import (
    Fields, Refusal, Route, log, now_ms, queue_load, random, state_get, state_put, state_remove, text,
)


class Capabilities(Route):
    name = "capabilities"
    version = "1.0.0"
    wants = ["clock", "random", "load", "state"]

    class Header(Fields):
        routing_key: str = text("routing_key")

    def route(self, header, bindings, destinations):
        match header.routing_key:
            case "log":
                log("warn", "a line of the guest: größe")
                chosen = 0
            case "clock":
                now = now_ms()
                chosen = now < 1_600_000_000_000 or now != now_ms()
            case "random":
                chosen = random() == random()
            case "load":
                chosen = least_loaded(bindings)
            case "state":
                chosen = count() % len(bindings)
            case "state-long":
                long = b"v" * 1000
                chosen = not state_put("long", long) or state_get("long") != long
            case "state-remove":
                state_remove("count")
                chosen = state_get("count") is not None
            case _:
                raise Refusal("no such capability")
        destinations.add(chosen)


def least_loaded(bindings):
    """The first of those with the fewest messages ready."""
    loads = [(binding.index, queue_load(binding.index)) for binding in bindings]
    return min((load.ready, index) for index, load in loads if load is not None)[1]


def count() -> int:
    """How often it was asked before, as one decimal digit."""
    digit = int(state_get("count") or b"0")
    state_put("count", str((digit + 1) % 10))
    return digit
