"""The app that Flower looks at."""

import os

from celery import Celery

app = Celery("bench", broker=os.environ["AMQP_URL"])
# By itself Celery lets the broker drop events after five seconds: those that Flower is behind with.
app.conf.event_queue_ttl = 3600
app.conf.event_queue_expires = 3600
