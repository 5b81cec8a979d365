"""To the first x-first bindings, and to the queue x-queue."""

from shunt_route import Route


class Fixed(Route):
    name = "fixed"
    version = "1.0.0"

    def configure(self, exchange):
        first = exchange.arguments.optional_integer("x-first")
        self.first = 1 if first is None else first
        self.queue = exchange.arguments.optional_text("x-queue")

    def route(self, header, bindings, destinations):
        for index in range(self.first):
            destinations.add(index)
        if self.queue is not None:
            destinations.add_queue(self.queue)
