"""Indexes of some of the rows, on databases that have them and on those that have not."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Index, Model, Q


class PartialIndex(Index):
    """An index of the rows that meet `where`. On databases without such indexes it has all rows, and the
    fields in `otherwise` if given. Of Django's own Index with a condition, `check` complains there."""

    def __init__(self, *, where: Q, otherwise: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where
        self.otherwise = list(otherwise)

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        kwargs["where"] = self.where
        if self.otherwise:
            kwargs["otherwise"] = self.otherwise
        return path, args, kwargs

    def create_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            index = Index(name=self.name, fields=self.fields, condition=self.where)
        else:
            index = Index(name=self.name, fields=self.otherwise or self.fields)
        return index.create_sql(model, schema_editor, using, **kwargs)
