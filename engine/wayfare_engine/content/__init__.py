"""What a message says: templates of a channel's parts, and their rendering for one customer."""

from wayfare_engine.content.channels import channel_problems, message_template
from wayfare_engine.content.rendering import Prepared, Renderer
from wayfare_engine.content.sandbox import RenderProblem
from wayfare_engine.content.template import (
    MessageTemplate,
    Template,
    TemplateProblem,
    TemplateProblems,
    Variables,
    compile_template,
)

__all__ = [
    "MessageTemplate",
    "Prepared",
    "RenderProblem",
    "Renderer",
    "Template",
    "TemplateProblem",
    "TemplateProblems",
    "Variables",
    "channel_problems",
    "compile_template",
    "message_template",
]
