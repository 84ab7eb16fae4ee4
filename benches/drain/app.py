"""The producer of the comparison, and the task as Celery's worker has it."""

import os
import sys

from celery import Celery

app = Celery("app", broker=os.environ["AMQP_URL"])
app.conf.update(
    accept_content=["json", "msgpack"],
    broker_connection_retry_on_startup=True,
    task_default_queue="bench",
    task_ignore_result=True,
    worker_send_task_events=False,
)


@app.task(name="bench.nothing")
def nothing(number, name):
    pass


def main(count, serializer):
    for number in range(count):
        nothing.apply_async((number, "nobody@example.org"), serializer=serializer)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
