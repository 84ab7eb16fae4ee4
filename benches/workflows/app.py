"""Both sides of the comparison on Celery's side: its worker's tasks, and a producer that measures."""

import os
import sys
import time

from celery import Celery, chain, chord

app = Celery("app", broker=os.environ["AMQP_URL"], backend=os.environ["REDIS_URL"])
app.conf.task_default_queue = "py"
app.conf.worker_send_task_events = False
app.conf.redis_max_connections = 50
queue = os.environ.get("QUEUE", "py")
app.conf.task_routes = {"bench.*": {"queue": queue}}


@app.task(name="bench.add")
def add(a, b):
    return a + b


@app.task(name="bench.sum")
def total(numbers):
    return sum(numbers)


# The client is told of each member of a chord, and reads what it has not read before it hears of the
# next workflow: so each form has a client of its own.
def measure(name, canvas, expected):
    began = time.perf_counter()
    result = canvas.apply_async()
    sent = time.perf_counter()
    value = result.get(timeout=300, interval=0.001)
    assert value == expected, (name, value)
    print(name, sent - began, time.perf_counter() - began, flush=True)


def main(form, rounds, size):
    for _ in range(rounds):
        if form == "chain":
            canvas, expected = chain(add.s(0, 1), *[add.s(1) for _ in range(size - 1)]), size
        else:
            canvas, expected = chord([add.s(n, n) for n in range(size)], total.s()), size * (size - 1)
        measure(form, canvas, expected)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
