"""A Celery application, and with an argument a driver that starts a worker of it and gives it
tasks; what came of them is the answer."""

import json
import os
import subprocess
import sys
import tempfile

from celery import Celery, group
from celery.exceptions import TaskRevokedError
from kombu import Queue

arguments = json.loads(sys.argv[1]) if sys.argv[1:] and sys.argv[1].startswith('{') else None
if arguments:
    os.environ['CELERY_TEST_BROKER'] = arguments['broker']

app = Celery('celery_app', broker=os.environ['CELERY_TEST_BROKER'], backend='rpc://')
app.conf.task_queues = [
    Queue('celery'),
    Queue('urgent', queue_arguments={'x-max-priority': 10}),
]
app.conf.task_default_queue = 'celery'
app.conf.broker_connection_retry_on_startup = True
app.conf.task_publish_retry = False


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=5)
def third_time(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries + 1


@app.task
def fail():
    raise ValueError('no')


@app.task
def echo(text):
    return text


def drive():
    seen = {'added': add.delay(2, 3).get(timeout=40)}
    results = group(add.s(n, n) for n in range(20)).apply_async()
    seen['group'] = results.get(timeout=20)
    seen['after a countdown'] = add.apply_async((3, 4), countdown=0.5).get(timeout=20)
    seen['retried'] = third_time.delay().get(timeout=20)
    try:
        fail.delay().get(timeout=20)
    except ValueError as error:
        seen['failed'] = type(error).__name__
    urgent = echo.apply_async(('first',), queue='urgent', priority=9)
    seen['urgent'] = urgent.get(timeout=20)
    replies = app.control.inspect(timeout=5).active_queues() or {}
    seen['queues'] = sorted(queue['name'] for queues in replies.values() for queue in queues)
    late = echo.apply_async(('never',), countdown=2)
    late.revoke()
    try:
        late.get(timeout=20)
    except TaskRevokedError:
        seen['revoked'] = True
    except Exception as error:
        seen['revoked'] = repr(error)
    return seen


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, '-B', '-m', 'celery', '--workdir', folder, '-A', 'celery_app',
               'worker', '--pool', 'threads', '--concurrency', '2', '--loglevel', 'WARNING']
    with tempfile.TemporaryFile() as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            print(json.dumps(drive()))
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors='replace'))
            raise
        finally:
            worker.terminate()
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()


if __name__ == '__main__' and arguments:
    main()
