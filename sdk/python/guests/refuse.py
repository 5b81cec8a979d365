"""Refuses every message, and exchanges and bindings that ask for it."""

from shunt_route import Fields, Refusal, Route, optional_text


class Refuse(Route):
    name = "refuse"
    version = "1.0.0"

    class Header(Fields):
        reason: str | None = optional_text("headers.reason")

    def configure(self, exchange):
        refuse(exchange.arguments.optional_text("x-refuse"))

    def check_binding(self, binding):
        if binding.key == "refuse":
            raise Refusal("the key is refuse")
        refuse(binding.arguments.optional_text("refuse"))

    def route(self, header, bindings, destinations):
        raise Refusal("refused by the guest" if header.reason is None else header.reason)


def refuse(reason: str | None) -> None:
    if reason is not None:
        raise Refusal(reason)
