"""What `AsyncResult` says of a revoked task: at once, and when its message has arrived.

One line of JSON for each, with the worker of queue `rs` revoking, which is named by WORKER.
"""

import json
import sys
import time

from app import QUEUES, app
from celery.result import AsyncResult

RUN, WORKER = sys.argv[1:]
QUEUE = QUEUES["rs"]


def say(name, result):
    """All that is stored, but for what is chance."""
    meta = dict(app.backend.get_task_meta(result.id))
    for chance in ["task_id", "date_done", "worker", "hostname", "pid", "queue"]:
        meta.pop(chance, None)
    # None where Celery had no message to look at; here an empty list.
    meta["children"] = meta["children"] or []
    if isinstance(meta["result"], dict):
        meta["result"] = sorted(meta["result"])
    meta["result"] = repr(meta["result"])
    print(json.dumps({"name": name, "meta": meta, "state": AsyncResult(result.id).state}), flush=True)


def revoke(result, **options):
    [answer] = app.control.revoke(
        result.id, destination=[WORKER], reply=True, timeout=20, **options
    )
    assert "ok" in answer[WORKER], answer


def send(task, *args, **options):
    return app.send_task(f"rs.{task}", args, queue=QUEUE, **options)


def until(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.02)
    raise SystemExit("in vain")


far = send("add", 1, 2, countdown=3600)
revoke(far)
say("waits for an hour", far)

unknown = AsyncResult(f"{RUN}-unknown")
revoke(unknown)
say("was never sent", unknown)

done = send("add", 1, 2)
done.get(timeout=30)
revoke(done)
say("has ended", done)

soon = send("add", 1, 2, countdown=3)
revoke(soon)
say("waits for seconds", soon)
# Only the message says what task it was.
until(lambda: "name" in app.backend.get_task_meta(soon.id))
say("has arrived", soon)

runs = send("sleep")
until(lambda: AsyncResult(runs.id).state == "STARTED")
revoke(runs)
say("runs", runs)
revoke(runs, terminate=True)
until(lambda: AsyncResult(runs.id).ready())
say("ran", runs)
print("that is all")
