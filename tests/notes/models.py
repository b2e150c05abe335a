"""An app of a project that points at sessions; installed only where test_foreign_keys.py runs."""

from django.db import models


class Note(models.Model):  # noqa: DJ008
    session = models.ForeignKey("sessions_ext.UserSession", on_delete=models.CASCADE)
    text = models.TextField()


class Visit(models.Model):  # noqa: DJ008
    session = models.ForeignKey("sessions_ext.UserSession", on_delete=models.SET_NULL, null=True)
