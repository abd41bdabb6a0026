"""JSON schemas of models, as short as they can be: an agent reads each of them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema


class _Plain(GenerateJsonSchema):
    """Without titles, and with null neither as a type nor as a default."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  (the library's)
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        made = super().default_schema(schema)
        if made.get("default") in (None, "", []):
            made.pop("default", None)
        return made


def schema_of(model: type[BaseModel], *, output: bool = False) -> dict[str, Any]:
    """The schema of what a model takes, or of what it is dumped as."""
    schema = model.model_json_schema(
        mode="serialization" if output else "validation", schema_generator=_Plain
    )
    for one in (schema, *schema.get("$defs", {}).values()):
        one.pop("title", None)
        one.pop("description", None)  # the docstring of a class is for those who read its code
    return schema
