"""Plans: all segments and journeys of an engine, compiled into one content-addressed value."""

from wayfare_engine.plan.compiler import CompileResult, compile_plan
from wayfare_engine.plan.format import (
    FORMAT,
    Candidate,
    Plan,
    PlanChannel,
    PlanFormatError,
    PlanSchedule,
    PlanSegment,
    PlanWindow,
    Source,
)
from wayfare_engine.plan.problems import CompileProblem
from wayfare_engine.plan.schema import Attribute, AttributeType, Schema

__all__ = [
    "FORMAT",
    "Attribute",
    "AttributeType",
    "Candidate",
    "CompileProblem",
    "CompileResult",
    "Plan",
    "PlanChannel",
    "PlanFormatError",
    "PlanSchedule",
    "PlanSegment",
    "PlanWindow",
    "Schema",
    "Source",
    "compile_plan",
]
