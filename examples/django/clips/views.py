"""Users register, videos are uploaded; what takes long is a task."""

import json

from celery import chain
from celery.result import AsyncResult
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from .models import Video
from .tasks import measure, publish, welcome


@csrf_exempt
@require_POST
def register(request):
    """`{"name": ..., "email": ...}`: makes the user, mails later."""
    call = json.loads(request.body)
    user = User.objects.create_user(username=call["name"], email=call["email"])
    mail = welcome.delay(user.email, name=user.username)
    return JsonResponse({"user": user.id, "mail": mail.id}, status=201)


@csrf_exempt
@require_POST
def upload(request, user):
    """The bytes of a video; its title is in the query."""
    owner = get_object_or_404(User, pk=user)
    video = Video(owner=owner, title=request.GET.get("title", "untitled"))
    video.file.save(f"{timezone.now():%Y%m%d%H%M%S%f}.bin", ContentFile(request.body))
    published = chain(
        measure.s(video.file.path).set(expires=3600, countdown=0.5),
        publish.s(video.id),
    ).apply_async()
    video.measured_by, video.published_by = published.parent.id, published.id
    video.save()
    return JsonResponse({"video": video.id}, status=202)


@require_GET
def video(request, video):
    """What has become of a video, read from the results."""
    video = get_object_or_404(Video, pk=video)
    measured, published = AsyncResult(video.measured_by), AsyncResult(video.published_by)
    return JsonResponse(
        {
            "title": video.title,
            "measured": told(measured),
            "published": told(published),
            "published_at": video.published_at,
            "digest": video.digest,
        }
    )


@require_GET
def task(request, id):
    """What has become of any task."""
    return JsonResponse(told(AsyncResult(id)))


def told(result):
    state = result.state
    value = result.result
    return {"state": state, "value": str(value) if isinstance(value, Exception) else value}


@csrf_exempt
@require_POST
def published(request, video):
    """Called by the worker, for task `video.publish`: the next step of the chain."""
    call = json.loads(request.body)
    measured = call["args"][0]
    changed = Video.objects.filter(pk=video)
    changed.update(published_at=timezone.now(), digest=measured["sha256"])
    return JsonResponse({"video": video, "bytes": measured["bytes"]})
