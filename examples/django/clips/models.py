from django.contrib.auth.models import User
from django.db import models


class Video(models.Model):
    """A video that somebody uploaded."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="videos")
    # The task that measures it, and the one that publishes it after that.
    measured_by = models.CharField(max_length=36, blank=True)
    published_by = models.CharField(max_length=36, blank=True)
    published_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64, blank=True)
