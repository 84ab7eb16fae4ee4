"""An application with a bit of everything, for `celeriac migrate from-celery`."""

from datetime import timedelta
from celery import Celery
from celery.schedules import crontab, schedule
from kombu import Queue, Exchange
print("what an application prints when it is imported is no answer")
app = Celery("shop", broker="amqp://ana:hunter2@rabbit1:5672/shop;amqp://ana:hunter2@rabbit2:5672/shop", backend="redis://:s3cret@redis1:6379/1")
app.conf.update(
    timezone="Europe/Rome", task_acks_late=True, task_time_limit=300, worker_concurrency=8, worker_prefetch_multiplier=1,
    task_default_queue="shop", worker_max_tasks_per_child=100, result_expires=timedelta(hours=2), task_serializer="json",
    task_queues=[Queue("shop"), Queue("mail", Exchange("mail", type="topic"), routing_key="mail.#"), Queue("fast", queue_arguments={"x-max-priority": 9}), Queue("safe", queue_arguments={"x-queue-type":"quorum"})],
    task_routes=[{"mail.*": {"queue": "mail"}, "video.compress": "fast"}, lambda *a, **k: None],
    task_annotations={"*": {"rate_limit": "100/m"}, "mail.send": {"rate_limit": "10/s"}},
    redis_password="hunter3", security_key="/x",
    beat_schedule={
      "nightly": {"task": "report.nightly", "schedule": crontab(hour=2, minute=30), "args": (7,), "kwargs": {"format": "pdf"}, "options": {"queue": "mail", "expires": 7200, "priority": 3}},
      "friday-13": {"task": "luck", "schedule": crontab(minute=0, hour="*/2", day_of_month=13, day_of_week="friday")},
      "weekdays": {"task": "t", "schedule": crontab(minute={0, 30}, day_of_week="mon-fri", month_of_year="jan-mar,december")},
      "poll": {"task": "poll", "schedule": 30.0}, "td": {"task": "poll", "schedule": timedelta(minutes=5)}, "rel": {"task": "poll", "schedule": schedule(90, relative=True)},
      "bad": {"task": "x", "schedule": 10, "args": (object(),)}, "none": {"task": "x", "schedule": 10, "args": (None,)},
    })
@app.task(name="mail.send", autoretry_for=(ConnectionError, TimeoutError), retry_backoff=5, max_retries=7, rate_limit="5/s")
def send(): pass
@app.task(name="report.nightly", ignore_result=True, soft_time_limit=60, acks_late=False)
def nightly(): pass
