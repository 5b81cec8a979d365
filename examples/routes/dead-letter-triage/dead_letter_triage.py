"""Sorts dead letters by why, where and how often they died: the recipe's README says how."""

from dataclasses import dataclass

from shunt_route import Fields, Refusal, Route, Table, array

REASONS = ("rejected", "expired", "maxlen", "delivery_limit")


@dataclass(frozen=True)
class Rule:
    """What isn't given doesn't count."""

    index: int
    reason: str | None
    queue: str | None
    min_count: int

    def holds(self, death: Table) -> bool:
        return (
            self.reason in (None, death.get("reason"))
            and self.queue in (None, death.get("queue"))
            and death.integer("count") >= self.min_count
        )


def rule_of(binding):
    reason = binding.arguments.optional_text("reason")
    if reason is not None and reason not in REASONS:
        raise Refusal(f"no message dies of {reason}")
    queue = binding.arguments.optional_text("queue")
    return Rule(binding.index, reason, queue, binding.arguments.optional_integer("min-count") or 0)


class DeadLetterTriage(Route):
    name = "dead-letter-triage"
    version = "1.0.0"

    class Header(Fields):
        """The history that the broker writes into dead letters: the newest death first."""

        deaths: list = array("headers.x-death")

    def check_binding(self, binding):
        rule_of(binding)

    def bindings(self, bindings):
        self.rules = [rule_of(binding) for binding in bindings]

    def route(self, header, bindings, destinations):
        if not header.deaths:
            raise Refusal("the message has not died: headers.x-death is empty")
        death = header.deaths[0]
        if not isinstance(death, Table):
            raise Refusal("headers.x-death is not an array of tables")
        for rule in self.rules:
            if rule.holds(death):
                destinations.add(rule.index)
                return
