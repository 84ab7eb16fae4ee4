"""Every option of `apply_async`, and everything that an `AsyncResult` says afterwards.

One line of JSON for each call: what the task saw, and what its caller was told.
"""

import datetime
import decimal
import json
import re
import sys
import time
import uuid

from app import BACKEND, QUEUES, app, store
from celery import Celery
from celery.result import AsyncResult
from kombu import Producer
from kombu.compression import encoders

RUN = sys.argv[1]
QUEUE = QUEUES["rs"]
IS_RPC = BACKEND.startswith("rpc")
NOW = datetime.datetime.now(datetime.timezone.utc)
SOON, LATER = datetime.timedelta(seconds=0.4), datetime.timedelta(seconds=60)

old = Celery("old", broker=app.conf.broker_url, backend=BACKEND)
old.conf.update(task_protocol=1, result_extended=True, accept_content=["json", "msgpack"])


def see(*args, by=app, kwargs=None, task="rs.see", **options):
    return by.send_task(task, args, kwargs or {}, queue=QUEUE, **options)


def note(label):
    return app.signature("rs.note", kwargs={"key": RUN, "label": label}, queue=QUEUE)


def blame(label):
    return app.signature("rs.blame", kwargs={"key": RUN, "label": label}, queue=QUEUE)


def unaddressed():
    """As a producer that is not Celery sends it: the least there is."""
    name = str(uuid.uuid4())
    with app.connection_for_write() as connection:
        Producer(connection).publish(
            [[1], {}, None], routing_key=QUEUE, serializer="json", headers={"task": "rs.add", "id": name}
        )
    return AsyncResult(name, app=app)


def compressed(name, **options):
    return lambda: see("x" * 200, compression=name, **options)


CALLS = {
    "plain": lambda: see(1, "two", None, [3.5, True]),
    "named": lambda: see(kwargs={"size": 3, "name": "ťapka", "inside": {"a": [1]}}),
    "as a signature": lambda: app.signature("rs.see", args=[1], kwargs={"a": 2}, queue=QUEUE).apply_async((0,), {"a": 3}),
    "ids and numbers": lambda: see(2**53 + 1, -(2**63), 1e-7, ""),
    "msgpack": lambda: see(1, "two", [3.5, None], serializer="msgpack"),
    "values json lacks": lambda: see(
        NOW.replace(year=2020, microsecond=5, month=1, day=2, hour=3, minute=4, second=5),
        datetime.date(2020, 1, 2), datetime.time(3, 4), decimal.Decimal("1.50"),
        uuid.UUID(int=7), b"bytes", b"\xff"),
    "protocol 1": lambda: see(1, by=old, kwargs={"a": 2}),
    "protocol 1 msgpack": lambda: see(1, by=old, serializer="msgpack", compression="zlib"),
    "protocol 1 later": lambda: see(by=old, countdown=0.4, expires=60),
    "protocol 1 link": lambda: see(by=old, task="rs.add", link=note("protocol 1 link")),
    "protocol 1 link_error": lambda: see(by=old, task="rs.fail", link_error=blame("protocol 1 link_error")),
    "countdown": lambda: see(countdown=0.4),
    "eta aware": lambda: see(eta=(NOW + SOON).astimezone(datetime.timezone(datetime.timedelta(hours=5)))),
    "eta naive": lambda: see(eta=(NOW + SOON).replace(tzinfo=None)),
    "eta past": lambda: see(eta=NOW - LATER),
    "expires in seconds": lambda: see(expires=60),
    "expires at a time": lambda: see(expires=NOW + LATER),
    "priority": lambda: see(priority=7),
    "stamps": lambda: app.signature("rs.see", queue=QUEUE).apply_async(stamped_headers=["tenant", "ids"], tenant="a", ids=[1, 2]),
    "ignore_result": lambda: see(task="rs.note", ignore_result=True, kwargs={"key": RUN, "label": "ignored"}),
    "link": lambda: see(2, 3, task="rs.add", link=note("link")),
    "two links": lambda: see(2, 3, task="rs.add", link=[note("first"), note("second").set(immutable=True)]),
    "link_error": lambda: see(task="rs.fail", link_error=blame("link_error")),
    "link without a failure": lambda: see(2, task="rs.add", link_error=blame("never")),
    "task_id": lambda: see(task_id=f"{RUN}-chosen/ěš id"),
    "headers": lambda: see(headers={"mine": {"deep": [1, "a"]}}),
    "limits": lambda: see(time_limit=50, soft_time_limit=40.5),
    "one limit": lambda: see(time_limit=50),
    "shadow": lambda: see(shadow="another name"),
    "argsrepr": lambda: see("secret", argsrepr="(<hidden>)", kwargsrepr="{}"),
    "transient": lambda: see(delivery_mode=1),
    "root and parent": lambda: see(root_id="the-root", parent_id="the-parent", group_id="the-group", group_index=4),
    "nobody to answer": unaddressed,
    "value error": lambda: see(task="rs.fail", kwargs={"text": "no such size: ťapka"}),
    "key error": lambda: see(task="rs.fail", kwargs={"kind": "KeyError", "text": "size"}),
    "retries": lambda: see(2, task="rs.flaky", kwargs={"fails": 2}),
    "retries run out": lambda: see(task="rs.flaky", kwargs={"fails": 9}),
    "unknown": lambda: see(task="rs.nobody-knows"),
    "time limit": lambda: see(task="rs.sleep", time_limit=1),
    **{f"compressed {name}": compressed(name) for name in encoders() if "/" not in name},
    "compressed msgpack": compressed("zlib", serializer="msgpack"),
}


def anonymous(value):
    text = json.dumps(value, default=repr)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return json.loads(text.replace(RUN, "RUN"))


def told(result):
    """All that the caller can ask."""
    row = {"state": result.state, "successful": result.successful(), "failed": result.failed()}
    if result.failed():
        error = result.result
        row["error"] = [type(error).__name__, type(error).__module__, str(error), repr(result.get(propagate=False))]
        try:
            result.get(timeout=5)
        except Exception as raised:
            row["raised"] = type(raised).__name__
    else:
        row["result"] = result.get(timeout=5)
    row["traceback"] = bool(result.traceback)
    children = result.children or []
    row["sent"] = len(children)
    # Celery sends callbacks with the worker's own address, so nobody hears of them over rpc.
    row["children"] = None if IS_RPC else [child.get(timeout=20) for child in children]
    row["date_done"] = abs((result.date_done - NOW).total_seconds()) < 60
    row["worker"] = bool(result.worker)
    row["extended"] = [result.name, result.args, result.kwargs, result.retries, result.queue == QUEUE]
    result.forget()
    row["forgotten"] = result.state
    return row


def waited(what, seconds=20):
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.02)


sent = {name: call() for name, call in CALLS.items()}
silent = {"ignore_result"} | ({"nobody to answer"} if IS_RPC else set())
for name, result in sent.items():
    if name not in silent:
        # Not by asking again and again: over rpc Celery's client loses what comes meanwhile.
        result.get(timeout=20, propagate=False)
waited(lambda: store.llen(RUN) >= 7)
for name, result in sent.items():
    row = {"state": result.state} if name in silent or not result.ready() else told(result)
    print(json.dumps(anonymous({"name": name, **row})), flush=True)


def stages():
    """What the state is on the way, and what comes with it."""
    key = f"{RUN}:go"
    result = see(task="rs.stages", kwargs={"key": key})
    waited(lambda: result.state == "PROGRESS")
    seen = [result.state, result.info]
    store.rpush(key, "on")
    waited(lambda: result.state == "RETRY")
    seen += [result.state, repr(result.info), result.ready(), result.date_done]
    return seen + [result.get(timeout=20), result.state]


if not IS_RPC:
    print(json.dumps({"name": "stages", "seen": stages()}), flush=True)
notes = sorted(line.decode() for line in store.lrange(RUN, 0, -1))
print(json.dumps({"name": "notes", "notes": notes}), flush=True)
print("that is all", flush=True)
