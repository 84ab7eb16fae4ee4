"""The Celery application, as Django's documentation has it. It sends; Celeriac's worker runs."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clips.settings")

app = Celery("clips")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
