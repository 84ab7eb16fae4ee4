from django.urls import path

from . import views

urlpatterns = [
    path("users", views.register),
    path("users/<int:user>/videos", views.upload),
    path("videos/<int:video>", views.video),
    path("tasks/<str:id>", views.task),
    path("hooks/published/<int:video>", views.published),
]
