"""CustomResourceDefinitions from the models: structural OpenAPI v3 schemas.

Pydantic writes JSON schema; this makes it what the API server takes: references inlined, absence
instead of null, nothing typed inside anyOf, and the metadata left to the API server.
"""

from __future__ import annotations

from typing import Any

from .kinds import CATEGORY, GROUP, KINDS, VERSION, Column, Kind

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "$defs", "patternProperties", "propertyNames"})


def crd(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of the kind of that name, as a plain object."""
    described = KINDS[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": described.crd_name,
            "labels": {"app.kubernetes.io/name": "wayfare"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": described.name,
                "listKind": f"{described.name}List",
                "plural": described.plural,
                "singular": described.singular,
                "shortNames": [described.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root_schema(described)},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(each) for each in described.columns],
                }
            ],
        },
    }


def root_schema(kind: Kind) -> Schema:
    """The schema of a whole object of the kind."""
    document = kind.model.model_json_schema(by_alias=True, mode="validation")
    root = structural(document, document.get("$defs", {}))
    properties = root["properties"]
    properties["apiVersion"] = {
        "type": "string",
        "description": "Group and version of the object's schema.",
    }
    properties["kind"] = {"type": "string", "description": "Kind of the object."}
    properties["metadata"] = {"type": "object"}
    properties["status"] = _without_defaults(properties["status"])
    order = ("apiVersion", "kind", "metadata", "spec", "status")
    root["properties"] = {name: properties[name] for name in order}
    root["required"] = ["spec"]
    return root


def structural(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """One schema with its references inlined, in the form that the API server takes."""
    schema = _merged(schema, definitions)
    if "patternProperties" in schema:
        # The API server knows no pattern of keys; the model does.
        [value] = schema["patternProperties"].values()
        schema = {**schema, "additionalProperties": value}
    result: Schema = {}
    for key, value in schema.items():
        if key in _DROPPED or (key == "default" and value in (None, [], "")):
            continue
        if key == "properties":
            result[key] = {name: structural(each, definitions) for name, each in value.items()}
        elif key == "items":
            result[key] = structural(value, definitions)
        elif key == "additionalProperties":
            if isinstance(value, dict):
                result[key] = structural(value, definitions)
        elif key == "description":
            result[key] = " ".join(value.split())
        elif key == "const":
            result["enum"] = [value]
        else:
            result[key] = value
    if result.get("default") == {}:
        # Rules are tried on the default as it is written, before inner defaults are filled in.
        result["default"] = {
            name: each["default"]
            for name, each in result.get("properties", {}).items()
            if "default" in each
        }
    if result.get("x-kubernetes-int-or-string"):
        del result["type"], result["pattern"]
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return result


def _merged(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow `$ref`, and read "T or null" as T; what stands beside it wins."""
    while "$ref" in schema or "anyOf" in schema:
        beside = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
        if "$ref" in schema:
            inner = definitions[schema["$ref"].rpartition("/")[2]]
        else:
            choices = [each for each in schema["anyOf"] if each.get("type") != "null"]
            if len(choices) != 1:
                raise TypeError(f"a field of more than one type has no structural schema: {schema}")
            inner = choices[0]
        schema = {**inner, **beside}
    return schema


def _without_defaults(schema: Schema) -> Schema:
    """Status is written whole by the operator; the API server is not to add to it."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {
            name: _without_defaults(each) for name, each in result["properties"].items()
        }
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        entry["description"] = column.description
    if column.priority:
        entry["priority"] = column.priority
    return entry
