"""The tasks of both fleets. A Celery worker has them all, and so has a worker of ours.

Which queue a task goes to is chosen by whoever sends it: `PY` and `RS` name the queues of tasks
`py.*` and `rs.*`. For the reference both are consumed by Celery.
"""

import os
import time

import redis
from celery import Celery, shared_task
from kombu import Exchange, Queue

QUEUES = {"py": os.environ.get("PY", "py"), "rs": os.environ.get("RS", "py")}
BACKEND = os.environ.get("BACKEND", os.environ["REDIS_URL"])

app = Celery("app", broker=os.environ["AMQP_URL"], backend=BACKEND)
app.conf.update(
    accept_content=["json", "msgpack"],
    result_extended=True,
    task_track_started=True,
    task_default_queue="py",
    task_queues=[Queue("py", routing_key="py")],
    task_create_missing_queues=True,
    task_routes={"rs.*": {"queue": QUEUES["rs"]}},
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    worker_hijack_root_logger=False,
)
if os.environ.get("SHARED"):
    # Queues that both fleets consume. One quorum queue switches Celery's delayed delivery on.
    kinds = {"classic": None, "quorum": {"x-queue-type": "quorum"}}
    app.conf.update(
        task_default_queue="quorum",
        task_default_exchange_type="topic",
        task_queues=[
            Queue(kind, Exchange(kind, type="topic"), routing_key=kind, queue_arguments=arguments)
            for kind, arguments in kinds.items()
        ],
        task_routes=None,
    )
store = redis.Redis.from_url(os.environ["REDIS_URL"])


def both(name, **options):
    """Registers a task for both fleets."""

    def register(function):
        for fleet in QUEUES:
            app.task(name=f"{fleet}.{name}", **options)(function)
        return function

    return register


def flat(values):
    for value in values:
        if isinstance(value, list):
            yield from flat(value)
        else:
            yield value


@both("add")
def add(*numbers):
    return sum(flat(numbers))


@both("list")
def items(*values):
    return list(values)


@both("odd")
def odd(text):
    return [float(text)]


@both("fail")
def fail(*args, kind="ValueError", text="no"):
    raise {"ValueError": ValueError, "KeyError": KeyError}[kind](text)


@both("flaky", bind=True, max_retries=3)
def flaky(self, *numbers, fails=1):
    if self.request.retries < fails:
        # Without a wait another process may end it before Celery notes RETRY, over its result.
        # Celery's delay queues know whole seconds only.
        countdown = 1 if os.environ.get("SHARED") else 0.3
        raise self.retry(exc=ValueError("not yet"), countdown=countdown)
    return sum(flat(numbers))


@both("note")
def note(*args, key, label):
    store.rpush(key, f"{label}{list(args)}")
    return label


@both("stages", bind=True, max_retries=1)
def stages(self, key):
    """Begins, reports, is told to go on, asks to be tried again, and succeeds then."""
    if self.request.retries == 0:
        self.update_state(state="PROGRESS", meta={"progress": 0.5, "message": "half"})
        store.blpop(key)
        raise self.retry(exc=ValueError("once more"), countdown=1.5)
    return "done"


# With one parameter, so that Celery sends it as a task and does not call it in the worker.
@both("blame")
def blame(failed, **label):
    store.rpush(label["key"], label["label"])
    return failed


@both("sleep")
def sleep():
    time.sleep(60)


@both("replace", bind=True)
def replace(self, *args, by):
    return self.replace(app.signature(by))


@both("see", bind=True)
def see(self, *args, **kwargs):
    request = self.request
    return {
        "args": args,
        "kwargs": kwargs,
        "id": request.id,
        "task": request.task,
        "retries": request.retries,
        "eta": request.eta is not None,
        "expires": request.expires is not None,
        "group": request.group,
        "root": request.root_id or request.id,
        "parent": request.parent_id,
        "limits": [limit and float(limit) for limit in request.timelimit or [None, None]],
        "shadow": request.shadow,
        "stamps": request.stamps or {},
        "argsrepr": getattr(request, "argsrepr", None),
        "mine": getattr(request, "mine", None),
    }
