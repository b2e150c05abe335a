"""An app of a project that points at sessions. Nothing follows its foreign keys, so that cleanup deletes
rows without loading them, but where a test asks for `foreign_keys`."""

from django.db import models


class Note(models.Model):  # noqa: DJ008
    session = models.ForeignKey(
        "sessions_ext.UserSession", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    seen_in = models.ForeignKey(
        "sessions_ext.UserSession", models.DO_NOTHING, related_name="+", db_constraint=False, null=True
    )
    text = models.TextField()
