"""The settings of the example. What is special to Celeriac is under CELERY_TASK_QUEUES."""

import os
from pathlib import Path

from celery.schedules import crontab
from kombu import Queue

BASE_DIR = Path(__file__).resolve().parent.parent
# Where the database, the uploads and the mails go.
DATA = Path(os.environ.get("CLIPS_DATA", BASE_DIR / "data"))

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-the-example")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "clips"]
ROOT_URLCONF = "clips.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MEDIA_ROOT = DATA / "uploads"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

CELERY_BROKER_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
# A view that reads a result is seldom in the process that sent the task, so results need a store
# that both sides know: Redis.
CELERY_RESULT_BACKEND = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_RESULT_EXTENDED = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_DEFAULT_QUEUE = "default"
# Celeriac's worker makes the queues, with their archive and their limits. Celery only sends to them.
CELERY_TASK_QUEUES = [
    Queue(name, exchange="", routing_key=name, no_declare=True) for name in ("default", "video")
]
CELERY_TASK_ROUTES = {"video.*": {"queue": "video"}}
CELERY_TASK_PUBLISH_RETRY = True

# `celeriac migrate from-celery clips.settings` turns this into [schedules].
CELERY_BEAT_SCHEDULE = {
    "weekly-digest": {
        "task": "mail.digest",
        "schedule": crontab(hour=8, minute=0, day_of_week="mon"),
        "options": {"expires": 3600},
    },
}
