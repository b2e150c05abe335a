"""Indexes of some of the rows, on databases that have them and on those that have not."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Index, Model, Q
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class PartialIndex(Index):
    """An index of the rows that meet `where`, and of all rows where the database has no such indexes: then
    of the fields in `otherwise`. Django's own Index warns of these databases and has the same fields there."""

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
