"""Every shape of workflow, nested three deep, in a list; each is run once and told in one line of JSON.

`shapes.py run NAME` sends them all and tells how each ended. `shapes.py show` prints each as the
signature it is, for another program to send.
"""

import json
import re
import sys
import time

from app import QUEUES, app, store
from celery import chain, chord, group
from celery.result import GroupResult

RUN = sys.argv[2] if len(sys.argv) > 2 else "shown"


def call(fleet):
    return lambda name, *args, **kwargs: app.signature(
        f"{fleet}.{name}", args=args, kwargs=kwargs
    ).set(queue=QUEUES[fleet])


p, r = call("py"), call("rs")


def flag(canvas, shape, label, ok=p, bad=r):
    """With a callback and an errback."""
    key = f"{RUN}:{shape}"
    canvas.link(ok("note", key=key, label=f"{label}+"))
    canvas.link_error(bad("blame", key=key, label=f"{label}-"))
    return canvas


def late(fleet, name, *args):
    """Expires before it may start, without the broker dropping it."""
    return fleet(name, *args).set(countdown=1, expires=0.4)


# name -> (what is sent, how many notes it makes)
SHAPES = {
    # Chains
    "chain": lambda s: (chain(p("add", 1, 2), r("add", 10), p("add", 100), r("add", 1000)), 0),
    "chain of chains of chains": lambda s: (
        chain(p("add", 1, 2), chain(r("add", 3), chain(p("add", 4), r("add", 5)), p("add", 6)), r("add", 7)), 0),
    "chain group chain": lambda s: (
        chain(p("add", 1), group(chain(r("add", 1), p("add", 2)), r("add", 3)), p("list")), 0),
    "chain group chord": lambda s: (
        chain(r("add", 1, 1), group(chord([p("add", 1), r("add", 2)], r("list")), p("add", 5)), r("list")), 0),
    "chain ending in a group of groups": lambda s: (
        chain(r("add", 1), group(p("add", 1), group(r("add", 2), p("add", 3)))), 0),
    "chain immutable": lambda s: (
        chain(r("add", 1), group(p("add", 1), r("add", 2)).clone(), r("list", 9).set(immutable=True), p("list")), 0),
    # Groups
    "group group group": lambda s: (
        group(p("add", 1), group(r("add", 2), group(p("add", 3), r("add", 4)), p("add", 5)), r("add", 6)), 0),
    "group chain chord": lambda s: (
        group(chain(r("add", 1), chord([p("add", 1), r("add", 2)], p("list"))), p("add", 3)), 0),
    "group of one": lambda s: (chain(r("add", 1), group(p("add", 1)), r("list")), 0),
    # Chords
    "chord chord chord": lambda s: (
        chord([chord([chord([p("add", 1), r("add", 2)], r("list")), r("add", 3)], p("list")), p("add", 4)], r("list")), 0),
    "chord chain group": lambda s: (
        chord([chain(r("add", 1, 1), group(p("add", 1), r("add", 2))), p("add", 1, 1)], r("list")), 0),
    "chord group chain": lambda s: (
        chord([group(chain(p("add", 1), r("add", 1)), r("add", 2)), p("add", 3)], p("list")), 0),
    "chord body chain group": lambda s: (
        chord([r("add", 1), p("add", 2)], chain(p("add", 10), r("add", 5), group(p("add", 1), r("add", 2)))), 0),
    "chord body chord": lambda s: (
        chord([r("add", 1), p("add", 2)], chord([r("add", 1), p("add", 2)], r("list"))), 0),
    "chord body group chained": lambda s: (
        chain(chord([r("add", 1), p("add", 2)], group(p("add", 1), r("add", 2))), r("list"), p("list")), 0),
    "chord of chunks": lambda s: (
        chain(p("add", 1), chord([r("add", n) for n in range(5)], r("add")), p("add", 1)), 0),
    # Links and errbacks on each level
    "links": lambda s: (
        chain(flag(r("add", 1, 1), s, "a"), flag(group(flag(p("add", 1), s, "b"), flag(r("add", 2), s, "c")), s, "g"),
              flag(p("list"), s, "d", r, p)), 5),
    "chord links": lambda s: (
        flag(chord([flag(r("add", 1, 1), s, "a"), flag(p("add", 1), s, "b")], flag(r("add"), s, "c")), s, "k"), 4),
    "errback of a chain": lambda s: (
        flag(chain(flag(r("add", 1), s, "a"), flag(p("fail"), s, "b"), flag(r("add", 1), s, "c")), s, "k"), 3),
    "errback of a chain here": lambda s: (
        flag(chain(flag(p("add", 1), s, "a"), flag(r("fail"), s, "b"), flag(p("add", 1), s, "c")), s, "k"), 3),
    "errback of a header": lambda s: (
        flag(chord([flag(r("fail", kind="KeyError"), s, "a"), flag(p("add", 1), s, "b")], flag(r("add"), s, "c")), s, "k"), 4),
    "errback of a header there": lambda s: (
        flag(chord([flag(p("fail"), s, "a"), flag(r("add", 1), s, "b")], flag(p("add"), s, "c")), s, "k"), 4),
    "errback of a group": lambda s: (flag(group(flag(r("fail"), s, "a"), p("fail")), s, "g"), 3),
    "errback of a body": lambda s: (
        flag(chord([r("add", 1), p("add", 2)], flag(r("fail"), s, "c")), s, "k"), 2),
    # Errors, deep
    "fail in chain group chord": lambda s: (
        chain(r("add", 1, 1), group(chord([p("fail"), r("add", 2)], r("list")), p("add", 5)), r("list"), p("list")), 0),
    "fail in chain group chord here": lambda s: (
        chain(p("add", 1, 1), group(chord([r("fail"), p("add", 2)], p("list")), r("add", 5)), p("list"), r("list")), 0),
    "fail in chord chord chord": lambda s: (
        chord([chord([chord([p("add", 1), r("fail")], r("list")), r("add", 3)], p("list")), p("add", 4)], r("list")), 0),
    "fail before a group": lambda s: (chain(r("fail"), group(p("add", 1), r("add", 1)), p("list")), 0),
    "fail before a final group": lambda s: (chain(p("fail"), group(r("add", 1), p("add", 1))), 0),
    "fail in the body's chain": lambda s: (
        chord([r("add", 1), p("add", 2)], chain(p("add", 10), r("fail"), p("add", 5))), 0),
    "fail in a group": lambda s: (group(r("fail"), chain(p("add", 1), r("fail", text="späť"), p("add", 1))), 0),
    # Replace
    "replace by a task": lambda s: (chain(r("replace", by=p("add", 5)), p("add", 1)), 0),
    "replace by a task there": lambda s: (chain(p("replace", by=r("add", 5)), r("add", 1)), 0),
    "replace by a chain in a group in a chain": lambda s: (
        chain(p("add", 1), group(r("replace", by=chain(p("add", 1), r("add", 2))), p("add", 3)), r("list")), 0),
    "replace by a group in a chord": lambda s: (
        chord([r("replace", by=group(p("add", 1), r("add", 2))), p("add", 3)], p("list")), 0),
    "replace by a group in a chord there": lambda s: (
        chord([p("replace", by=group(r("add", 1), p("add", 2))), r("add", 3)], r("list")), 0),
    "replace by a chord in a chain": lambda s: (
        chain(r("add", 1), p("replace", by=chord([r("add", 1), p("add", 2)], r("list"))), r("list")), 0),
    "replace by a chord in a chain here": lambda s: (
        chain(p("add", 1), r("replace", by=chord([p("add", 1), r("add", 2)], p("list"))), p("list")), 0),
    "replace by what is replaced": lambda s: (
        chain(r("replace", by=p("replace", by=r("replace", by=p("add", 1)))), r("add", 1)), 0),
    "replace the body": lambda s: (
        chord([r("add", 1), p("add", 2)], r("replace", by=group(p("add", 1), r("add", 2)))), 0),
    "replace by what fails": lambda s: (
        flag(chain(r("replace", by=chain(p("add", 1), r("fail"))), p("add", 1)), s, "k"), 1),
    "replace with links": lambda s: (
        chain(flag(r("replace", by=chain(p("add", 1), r("add", 2))), s, "a"), p("add", 1)), 1),
    # Retries
    "retries": lambda s: (
        chain(r("flaky", 1), group(p("flaky", 1), r("flaky", 2, fails=2)), r("flaky", fails=1)), 0),
    "retries in a chord of chains": lambda s: (
        chord([chain(p("flaky", 1), r("flaky", 1)), r("flaky", 2)], p("flaky")), 0),
    "retries run out": lambda s: (chain(r("flaky", 1, fails=9), p("add", 1)), 0),
    "retries run out there": lambda s: (chain(p("flaky", 1, fails=9), r("add", 1)), 0),
    # Expiry
    "expires": lambda s: (late(r, "add", 1), 0),
    "expires in a chain": lambda s: (chain(p("add", 1), late(r, "add", 1), p("add", 1)), 0),
    "expires in a chain there": lambda s: (chain(r("add", 1), late(p, "add", 1), r("add", 1)), 0),
    "expires in a chord": lambda s: (chord([late(r, "add", 1), p("add", 1)], r("list")), 0),
    # Nothing
    "empty group in a chain": lambda s: (chain(p("add", 1), group(), r("add", 1)), 0),
    "empty header": lambda s: (chord([], r("list", 1)), 0),
    "empty header in a chain": lambda s: (chain(p("add", 1), chord([], r("list", 1)), p("list")), 0),
}


# What Celery's own workers leave waiting for ever.
NEVER = {
    "fail in chain group chord",
    "fail in chain group chord here",
    "fail in chord chord chord",
    "fail before a final group",
    "expires in a chain",
    "expires in a chain there",
}


def anonymous(text):
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)


def ended(result):
    """The value, or the error with its type."""
    if isinstance(result, GroupResult):
        return [ended(one) for one in result.results]
    if result.state in ("FAILURE", "REVOKED"):
        error = result.result
        return [result.state, type(error).__name__, anonymous(str(error))]
    return result.result if result.state == "SUCCESS" else result.state


def waited(what, until):
    while not what() and time.monotonic() < until:
        time.sleep(0.02)


def told(result):
    """How the workflow ended, and everything before its end, newest first."""
    parents, parent = [], result.parent
    while parent is not None:
        parents.append(ended(parent))
        parent = parent.parent
    return ended(result), parents


def ready(result):
    """Also when Celery says that a group is not because something before it is not."""
    return all(one.ready() for one in result.results) if isinstance(result, GroupResult) else result.ready()


def run(*, patience=50):
    """Those that may expire go when nothing else is in their way."""
    hasty = {name for name in SHAPES if name.startswith("expires")}
    for wave in [SHAPES.keys() - hasty, hasty]:
        sent, until = {}, time.monotonic() + patience
        for name in wave:
            canvas, notes = SHAPES[name](name)
            try:
                sent[name] = canvas.apply_async(), notes
            except Exception as error:
                print(json.dumps({"name": name, "refused": repr(error)}), flush=True)
        # What never ends where Celery's workers are is looked at when all else has ended.
        late = NEVER if "py" in QUEUES.values() else set()
        for name, (result, notes) in sorted(sent.items(), key=lambda item: item[0] in late):
            if name not in late:
                waited(lambda: ready(result), until)
                waited(lambda: store.llen(f"{RUN}:{name}") >= notes, until)
            value, parents = told(result)
            lines = sorted(anonymous(line.decode()) for line in store.lrange(f"{RUN}:{name}", 0, -1))
            row = {"name": name, "ended": value, "parents": parents, "notes": lines}
            print(json.dumps(row), flush=True)


def show():
    for name, shape in SHAPES.items():
        canvas, _ = shape(name)
        print(json.dumps({"name": name, "canvas": canvas}), flush=True)


{"run": run, "show": show}[sys.argv[1]]()
print("that is all", flush=True)
