"""Sends that take effect once: intent, dispatch, guard, hand-over, outcome."""

from wayfare_engine.outbox.channel import Answer, Channel, Key, NoDedupe, Query, Rate, Retry, Send
from wayfare_engine.outbox.facts import Origin
from wayfare_engine.outbox.http_host import HttpHost
from wayfare_engine.outbox.keys import instance_key, send_key
from wayfare_engine.outbox.offers import PullHost
from wayfare_engine.outbox.plan import PlannedSend, plan_send
from wayfare_engine.outbox.task_host import FOR_EVER, TaskHost
from wayfare_engine.outbox.worker import SendWorker

__all__ = [
    "FOR_EVER",
    "Answer",
    "Channel",
    "HttpHost",
    "Key",
    "NoDedupe",
    "Origin",
    "PlannedSend",
    "PullHost",
    "Query",
    "Rate",
    "Retry",
    "Send",
    "SendWorker",
    "TaskHost",
    "instance_key",
    "plan_send",
    "send_key",
]
