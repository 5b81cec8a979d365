"""Does steps with pika, one after the other, over one connection.

The argument is {"url": ..., "steps": [[name, argument, ...], ...]}; the answer has an item for
each step: what it gave, or {"code": ..., "text": ...} where the broker refused it. After a
refusal the next step has a channel, or a connection, of its own.
"""

import json
import sys

import pika
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    UnroutableError,
)


class Client:
    def __init__(self, url):
        self.parameters = pika.URLParameters(url)
        self.held = []
        self.connect()

    def connect(self):
        self.connection = pika.BlockingConnection(self.parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def declare(self, queue, arguments=None):
        answer = self.channel.queue_declare(queue, durable=True, arguments=arguments or {})
        return answer.method.message_count

    def delete(self, queue):
        self.channel.queue_delete(queue)

    def declare_exchange(self, exchange, kind, arguments=None):
        self.channel.exchange_declare(exchange, kind, durable=True, arguments=arguments or {})

    def bind(self, queue, exchange, key):
        self.channel.queue_bind(queue, exchange, key)

    def unbind(self, queue, exchange, key):
        self.channel.queue_unbind(queue, exchange, key)

    def bind_exchange(self, destination, source, key):
        self.channel.exchange_bind(destination, source, key)

    def publish(self, exchange, key, body, headers=None):
        """`nack`, `returned`, or nothing where it was confirmed."""
        properties = pika.BasicProperties(headers=headers, delivery_mode=2)
        try:
            self.channel.basic_publish(exchange, key, body.encode(), properties, mandatory=True)
        except NackError:
            return "nack"
        except UnroutableError:
            return "returned"

    def drain(self, queue):
        bodies = []
        while True:
            method, _, body = self.channel.basic_get(queue, auto_ack=True)
            if method is None:
                return bodies
            bodies.append(body.decode())

    def open_channel(self):
        self.held.append(self.connection.channel())

    def open_connection(self):
        self.held.append(pika.BlockingConnection(self.parameters))

    def step(self, name, *arguments):
        try:
            return getattr(self, name)(*arguments)
        except ChannelClosedByBroker as error:
            self.channel = self.connection.channel()
            self.channel.confirm_delivery()
            return {"code": error.reply_code, "text": error.reply_text}
        except ConnectionClosedByBroker as error:
            self.connect()
            return {"code": error.reply_code, "text": error.reply_text}
        except AMQPConnectionError as error:
            # Refused before it was open; the broker's words are in pika's.
            return {"code": 0, "text": repr(error)}


def main():
    arguments = json.loads(sys.argv[1])
    client = Client(arguments["url"])
    print(json.dumps([client.step(*step) for step in arguments["steps"]]))


main()
