"""Rows of a user."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory


def started(user, **ago) -> UserSession:
    return UserSessionFactory(user=user, created_at=timezone.now() - timedelta(**ago))


def sessions(user) -> models.QuerySet[UserSession]:
    return UserSession.objects.for_user(user)
