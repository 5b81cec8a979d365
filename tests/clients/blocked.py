"""Publishes while an operator holds publishers back; the hold ends once this client was told."""

import base64
import json
import sys
import urllib.request

import pika


def hold(active):
    request = urllib.request.Request(
        arguments['alarm'], method='PUT', data=json.dumps({'active': active}).encode(),
        headers={'Authorization': 'Basic ' + base64.b64encode(b'guest:guest').decode(),
                 'Content-Type': 'application/json'})
    urllib.request.urlopen(request).read()


def blocked(_connection, frame):
    seen.append('blocked: ' + frame.method.reason)
    hold(False)


def unblocked(_connection, _frame):
    seen.append('unblocked')


arguments = json.loads(sys.argv[1])
seen = []
connection = pika.BlockingConnection(pika.URLParameters(arguments['url']))
channel = connection.channel()
connection.add_on_connection_blocked_callback(blocked)
connection.add_on_connection_unblocked_callback(unblocked)
hold(True)
channel.basic_publish('', 'nowhere', b'x')
while len(seen) < 2:
    connection.process_data_events(time_limit=1)
connection.close()
print(json.dumps(seen))
