import uuid

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Group, Permission
from django.db import models


class UserWithoutIntegerKey(AbstractUser):
    groups = models.ManyToManyField(Group, blank=True, related_name="+")
    user_permissions = models.ManyToManyField(Permission, blank=True, related_name="+")

    class Meta(AbstractUser.Meta):
        abstract = True


class UUIDUser(UserWithoutIntegerKey):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


def text_key() -> str:
    return f"user/{uuid.uuid4().hex}"


class TextUser(UserWithoutIntegerKey):
    id = models.CharField(primary_key=True, max_length=64, default=text_key)


class Person(models.Model):
    nickname = models.CharField(max_length=50, default="", blank=True)

    def __str__(self) -> str:
        return self.nickname


class Account(UserWithoutIntegerKey, Person):
    """A user as far as its password, in a table of its own."""


class Member(Account):
    preferences = models.JSONField(default=dict, blank=True)


class ProxyUser(get_user_model()):
    class Meta:
        proxy = True
