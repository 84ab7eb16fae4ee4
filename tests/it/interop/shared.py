"""Tasks for two queues that both fleets consume: at once, later by Celery's delay queues, and retried."""

import json
import sys
import time

from app import app

for kind in ["classic", "quorum"]:
    send = lambda name, *args, **options: app.send_task(f"rs.{name}", args, queue=kind, **options)
    began = time.time()
    later = [send("add", n, 1, countdown=1) for n in range(6)]
    flaky = send("flaky", 20, countdown=1)
    now = [send("add", n, 0) for n in range(20)]
    values = [result.get(timeout=30) for result in now]
    delayed = [result.get(timeout=30) for result in later]
    row = {
        "name": kind,
        "now": values,
        "later": delayed,
        "waited": all(result.date_done.timestamp() - began >= 1 for result in later),
        "retried": flaky.get(timeout=30),
        "fleets": sorted({result.worker.split("@")[0] for result in now}),
    }
    print(json.dumps(row), flush=True)
print("that is all", flush=True)
