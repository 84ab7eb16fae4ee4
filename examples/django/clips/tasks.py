"""The tasks as Django sees them: their names and parameters.

Their bodies are in `celeriac.toml`, and Celeriac's worker runs them. `.delay()`, `.apply_async()`,
chains and `AsyncResult` work as if the bodies were here.
"""

from celery import shared_task


@shared_task(name="mail.welcome")
def welcome(email, name):
    raise NotImplementedError("run by celeriac worker")


@shared_task(name="mail.digest")
def digest():
    raise NotImplementedError("run by celeriac worker")


@shared_task(name="video.measure")
def measure(path):
    raise NotImplementedError("run by celeriac worker")


@shared_task(name="video.publish")
def publish(measured, video):
    raise NotImplementedError("run by celeriac worker")
