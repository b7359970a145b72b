"""The tasks by name, and from the JSON that a run wrote of one."""

# pyright: strict

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from tljax.errors import InputError
from tljax.tasks.classification import Classification
from tljax.tasks.language import Language
from tljax.tasks.multilabel import Multilabel
from tljax.tasks.regression import Regression
from tljax.tasks.segmentation import Segmentation
from tljax.tasks.task import Task
from tljax.tasks.text import Text

TASKS: dict[str, type[Task]] = {
    each.name: each
    for each in (Classification, Multilabel, Regression, Segmentation, Text, Language)
}


def named(name: str) -> type[Task]:
    """Return the kind of task of this name; InputError for an unknown one."""
    if name not in TASKS:
        raise InputError(f"task: expected one of {', '.join(TASKS)}, found {name[:60]!r}")
    return TASKS[name]


def from_dict(document: Mapping[str, Any]) -> Task:
    """Return the task that `Task.to_dict` described; InputError for what it cannot have written.

    A document without a name is of a run before there were other tasks than classification.
    """
    kind: Any = named(str(document.get("name", Classification.name)))
    values = {name: value for name, value in document.items() if name != "name"}
    expected = {field.name for field in fields(kind)}
    if values.keys() != expected:
        raise InputError(
            f"task {kind.name}: expected {', '.join(sorted(expected)) or 'no fields'}, "
            f"found {', '.join(sorted(values)) or 'none'}"
        )
    return kind(*(_frozen(values[field.name]) for field in fields(kind)))


def of_results(results: Mapping[str, Any]) -> Task:
    """Return the task that a run's results.json describes; InputError for what no run writes."""
    document = results.get("task", {})
    if not isinstance(document, dict):
        raise InputError(f"task: expected an object, found {str(document)[:60]!r}")
    return from_dict(cast(dict[str, Any], document))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, cast(list[Any], value))) if isinstance(value, list) else value
