"""Tells, as JSON, how a Celery application is configured. Run by `celeriac migrate from-celery`."""

import datetime
import importlib
import json
import os
import sys


def find(name):
    """The application: of a module, of Django's settings, or of a celeryconfig."""
    from celery import Celery
    from celery.app.utils import find_app

    if name.endswith(".py"):
        folder, file = os.path.split(os.path.abspath(name))
        sys.path.insert(0, folder)
        name = file[:-3]
    module = importlib.import_module(name) if ":" not in name else None
    if hasattr(module, "INSTALLED_APPS"):
        os.environ["DJANGO_SETTINGS_MODULE"] = name
        import django

        django.setup()
        try:
            return find_app(name.split(".")[0])
        except (AttributeError, ImportError):
            app = Celery(name)
            app.config_from_object("django.conf:settings", namespace="CELERY")
            app.autodiscover_tasks()
            return app
    try:
        return find_app(name)
    except AttributeError:
        app = Celery(name)
        app.config_from_object(module)
        return app


def plain(value):
    """What JSON can hold; of anything else only what kind of thing it is."""
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    raise ValueError(f"{type(value).__name__} is no JSON")


def or_none(value):
    try:
        return plain(value)
    except ValueError:
        return None


def urls(value):
    if isinstance(value, str):
        value = value.split(";")
    return [str(url) for url in value or []]


def queue(queue):
    exchange = queue.exchange
    bindings = [binding.routing_key for binding in queue.bindings or []] or [queue.routing_key]
    return {
        "name": queue.name,
        "exchange": exchange.name if exchange else "",
        "exchange_type": str(exchange.type) if exchange else "direct",
        "bindings": [key for key in bindings if key],
        "durable": bool(queue.durable) and not queue.auto_delete and not queue.exclusive,
        "declare": not queue.no_declare,
        "max_priority": queue.max_priority,
        "message_ttl": queue.message_ttl,
        "max_length": queue.max_length,
        "arguments": plain(queue.queue_arguments or {}),
    }


def routes(value):
    """In the order in which they are asked."""
    told = []
    for router in value if isinstance(value, (list, tuple)) else [value or {}]:
        if not hasattr(router, "items") and not isinstance(router, (list, tuple)):
            told.append({"pattern": None, "kind": type(router).__name__})
            continue
        for pattern, route in router.items() if hasattr(router, "items") else router:
            if not isinstance(pattern, str):
                told.append({"pattern": None, "kind": type(pattern).__name__})
                continue
            route = {"queue": route} if isinstance(route, str) else dict(route)
            target = route.get("queue")
            route["queue"] = getattr(target, "name", target)
            keys = ("queue", "exchange", "routing_key", "priority")
            told.append({"pattern": pattern, **{key: or_none(route.get(key)) for key in keys}})
    return told


def field(value):
    """A field of a crontab as text."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(str(item) for item in sorted(value))
    return str(value).replace(" ", "")


def when(due):
    from celery.schedules import crontab, schedule, solar

    if isinstance(due, (int, float)):
        return {"every": float(due)}
    if isinstance(due, datetime.timedelta):
        return {"every": due.total_seconds()}
    if isinstance(due, crontab):
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        return {"cron": [field(getattr(due, "_orig_" + name)) for name in names]}
    if isinstance(due, solar):
        return {"sun": {"event": due.event, "latitude": due.lat, "longitude": due.lon}}
    if type(due) is schedule:
        return {"every": due.run_every.total_seconds()}
    return {"other": type(due).__name__}


def entry(name, entry):
    told = {"name": str(name), "task": entry.get("task"), "when": when(entry.get("schedule"))}
    told["relative"] = bool(entry.get("relative") or getattr(entry["schedule"], "relative", False))
    options = dict(entry.get("options") or {})
    try:
        told["args"] = plain(list(entry.get("args") or []))
        told["kwargs"] = plain(dict(entry.get("kwargs") or {}))
    except ValueError as error:
        told["unreadable"] = str(error)
    told["options"] = {key: or_none(value) for key, value in options.items()}
    return told


OPTIONS = (
    "max_retries", "default_retry_delay", "rate_limit", "time_limit", "soft_time_limit", "acks_late",
    "ignore_result", "priority", "queue", "retry_backoff", "retry_backoff_max", "retry_jitter",
)


# What holds for tasks that do not say otherwise.
SETTINGS = {
    "acks_late": "task_acks_late", "ignore_result": "task_ignore_result", "priority": "task_default_priority",
    "rate_limit": "task_default_rate_limit", "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
}


def task(app, name, task):
    told = {"name": name}
    for option in OPTIONS:
        value = or_none(getattr(task, option, None))
        usual = app.conf.get(SETTINGS[option]) if option in SETTINGS else getattr(app.Task, option, None)
        if value != or_none(usual) and value is not None:
            told[option] = value
    if getattr(task, "max_retries", 3) is None:
        told["retries_forever"] = True
    retry_kwargs = getattr(task, "retry_kwargs", None) or {}
    if "max_retries" in retry_kwargs:
        told["max_retries"] = or_none(retry_kwargs["max_retries"])
    errors = getattr(task, "autoretry_for", None) or ()
    told["autoretry_for"] = [error.__name__ for error in errors]
    return told


def annotations(value):
    told, others = {}, 0
    for one in value if isinstance(value, (list, tuple)) else [value or {}]:
        if isinstance(one, dict):
            for name, options in one.items():
                known = {key: or_none(options[key]) for key in OPTIONS if key in options}
                others += len(options) - len(known)
                told.setdefault(str(name), {}).update(known)
        else:
            others += 1
    return told, others


def tell(app):
    import celery
    from celery.app.defaults import DEFAULTS

    conf = app.conf
    app.finalize()
    if hasattr(app.loader, "import_default_modules"):
        app.loader.import_default_modules()
    told, others = annotations(conf.task_annotations)
    changed = {}
    for key, default in DEFAULTS.items():
        value = conf.get(key, default)
        if value != default:
            changed[key] = or_none(value)
    tasks = [(name, app.tasks[name]) for name in sorted(app.tasks)]
    return {
        "celery": celery.__version__,
        "changed": changed,
        "broker": urls(conf.broker_write_url or conf.broker_url),
        "timezone": str(conf.timezone or "UTC"),
        "default_queue": conf.task_default_queue,
        "queues": [queue(value) for value in app.amqp.queues.values()],
        "routes": routes(conf.task_routes),
        "schedules": [entry(name, value) for name, value in (conf.beat_schedule or {}).items()],
        "tasks": [task(app, name, it) for name, it in tasks if not name.startswith("celery.")],
        "annotations": told,
        "other_annotations": others,
    }


answer, sys.stdout = sys.stdout, sys.stderr
sys.path.insert(0, os.getcwd())
try:
    told = tell(find(sys.argv[1]))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
json.dump(told, answer)
