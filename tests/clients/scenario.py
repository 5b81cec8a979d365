"""Plays a scenario with pika: declares, publishes with confirms, consumes.

The argument is {"url": ..., "scenario": ...}; the answer says what came out of each queue, what
was returned, and with which codes the refused steps ended.
"""

import json
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, UnroutableError


def declare(channel, scenario):
    for name, kind, arguments in scenario["exchanges"]:
        channel.exchange_declare(name, kind, durable=True, arguments=arguments)
    for name in scenario["queues"]:
        channel.queue_declare(name, durable=True)
    for kind, destination, source, key, arguments in scenario["bindings"]:
        if kind == "queue":
            channel.queue_bind(destination, source, key, arguments)
        else:
            channel.exchange_bind(destination, source, key, arguments)


def publish(channel, messages):
    returned = []
    for exchange, key, headers, body in messages:
        properties = pika.BasicProperties(headers=headers, delivery_mode=2)
        try:
            channel.basic_publish(exchange, key, body.encode(), properties, mandatory=True)
        except UnroutableError as error:
            returned += [message.body.decode() for message in error.messages]
    return returned


def consume(channel, queue):
    bodies = []
    count = channel.queue_declare(queue, passive=True).method.message_count
    if count == 0:
        return bodies
    for method, _, body in channel.consume(queue, inactivity_timeout=20):
        if method is None:
            break
        bodies.append(body.decode())
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == count:
            break
    channel.cancel()
    return bodies


def refused(connection, step):
    channel = connection.channel()
    try:
        if step == "missing queue":
            channel.queue_declare("none", passive=True)
        elif step == "missing exchange":
            channel.exchange_declare("none", passive=True)
        elif step == "reserved name":
            channel.queue_declare("amq.mine")
        elif step == "other durability":
            channel.exchange_declare("amq.topic", "topic", durable=False)
    except ChannelClosedByBroker as error:
        return error.reply_code
    return 0


def main():
    arguments = json.loads(sys.argv[1])
    scenario = arguments["scenario"]
    connection = pika.BlockingConnection(pika.URLParameters(arguments["url"]))
    channel = connection.channel()
    declare(channel, scenario)
    channel.confirm_delivery()
    returned = publish(channel, scenario["messages"])
    queues = {queue: consume(channel, queue) for queue in scenario["queues"]}
    codes = [refused(connection, step) for step in scenario["refused"]]
    connection.close()
    print(json.dumps({"queues": queues, "returned": returned, "refused": codes}))


main()
