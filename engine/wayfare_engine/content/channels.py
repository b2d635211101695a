"""The template of a Channel, and what is wrong with it, for the operator and for whoever sends."""

from __future__ import annotations

from wayfare_engine.content.template import (
    MessageTemplate,
    Template,
    TemplateProblems,
    Variables,
    compile_template,
)
from wayfare_engine.plan.problems import CompileProblem
from wayfare_engine.plan.schema import Schema
from wayfare_engine.resources import Channel, Reason
from wayfare_engine.resources.channel import ChannelSpec
from wayfare_engine.resources.task_terms import BadTaskConfig, TaskTerms


def is_html(part: str) -> bool:
    """Whether values in a part of this name are escaped as HTML."""
    return part == "html" or part.endswith("_html")


def message_template(spec: ChannelSpec, schema: Schema) -> MessageTemplate | None:
    """The compiled template; None when the content goes as it is. Raises TemplateProblems."""
    template = spec.template
    if template is None:
        return None
    variables = _variables(schema)
    return MessageTemplate(
        {
            name: compile_template(text, variables, html=is_html(name))
            for name, text in template.parts.items()
        }
    )


def channel_problems(channel: Channel, schema: Schema) -> tuple[CompileProblem, ...]:
    """Everything that is wrong with what the channel says, and to which address. Pure."""
    variables = _variables(schema)
    found: list[CompileProblem] = []
    address = channel.spec.address_attribute
    if address is not None and address not in variables.customer:
        found.append(
            CompileProblem(
                "spec.addressAttribute",
                0,
                0,
                Reason.UNKNOWN_ATTRIBUTE,
                f"customers have no attribute {address!r}: import it, or declare it in the Engine",
            )
        )
    found.extend(_task_problems(channel.spec, variables))
    parts = channel.spec.template.parts if channel.spec.template is not None else {}
    for name, text in parts.items():
        result = _compiled(text, variables, html=is_html(name))
        if isinstance(result, TemplateProblems):
            path = f"spec.template.parts.{name}"
            found.extend(
                CompileProblem(path, p.line, p.column, p.reason, p.message) for p in result.problems
            )
    return tuple(found)


def _task_problems(spec: ChannelSpec, variables: Variables) -> list[CompileProblem]:
    """What is wrong with what a channel of tasks declares of them."""
    if spec.plugin.name != "task":
        return []
    try:
        terms = TaskTerms.from_config("", spec.plugin.config or {})
    except BadTaskConfig as error:
        path = f"spec.plugin.{error.path}"
        return [CompileProblem(path, 0, 0, Reason.INVALID_SPEC, error.problem)]
    name = terms.assignee_attribute
    if name is None or name in variables.customer:
        return []
    said = f"customers have no attribute {name!r}: import it, or declare it in the Engine"
    path = "spec.plugin.config.assigneeAttribute"
    return [CompileProblem(path, 0, 0, Reason.UNKNOWN_ATTRIBUTE, said)]


def _compiled(text: str, variables: Variables, *, html: bool) -> Template | TemplateProblems:
    try:
        return compile_template(text, variables, html=html)
    except TemplateProblems as problems:
        return problems


def _variables(schema: Schema) -> Variables:
    return Variables(frozenset(attribute.name for attribute in schema.addressable))
