"""How callers are led to the site that acts."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .fields import ClockDuration, Label, ObjectName, list_map
from .model import Model, Rule
from .recovery_checks import HttpUrl


class RouteWebhook(Model):
    """Something of yours that is told which site acts: a load balancer's or DNS's API."""

    url: HttpUrl = Field(
        description="Where {plan, run, site, epoch} is posted, signed with the sites' common key."
    )
    timeout: ClockDuration = Field("10s", description="After how long a try has failed.")


class RouteBackend(Model):
    """Which backend of the route leads to a site."""

    site: Label = Field(description="Name of the site.")
    service: ObjectName = Field(description="Name of the backendRef in the route.")


class RouteHttpRoute(Model):
    """A Gateway API HTTPRoute whose weights are set: 1 for the site that acts, 0 for the other."""

    name: ObjectName = Field(description="Name of the HTTPRoute, in the plan's namespace.")
    backends: tuple[RouteBackend, ...] = Field(
        description="Which backend leads to which site.",
        min_length=2,
        max_length=2,
        json_schema_extra=list_map("site"),
    )


class RouteService(Model):
    """A Service whose selector leads to the engine where it acts, and to nothing elsewhere."""

    name: ObjectName = Field(description="Name of the Service, in the plan's namespace.")


class Traffic(Model):
    """How callers are led to the site that acts."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.webhook) == (self.type == 'Webhook') && "
            "has(self.httpRoute) == (self.type == 'HTTPRoute') && "
            "has(self.service) == (self.type == 'Service')",
            holds=lambda it: (
                (it.webhook is not None) == (it.type == "Webhook")
                and (it.http_route is not None) == (it.type == "HTTPRoute")
                and (it.service is not None) == (it.type == "Service")
            ),
            message="traffic has the member that its type names: webhook for Webhook, httpRoute "
            "for HTTPRoute, service for Service, and no other",
        ),
    )

    type: Literal["None", "Webhook", "HTTPRoute", "Service"] = Field(
        "None",
        description="None: something of yours asks /activez by itself. The others are told, or "
        "set, in step Route.",
    )
    webhook: RouteWebhook | None = Field(None, description="For type Webhook: who is told.")
    http_route: RouteHttpRoute | None = Field(
        None, description="For type HTTPRoute: whose weights are set."
    )
    service: RouteService | None = Field(
        None, description="For type Service: whose selector is set."
    )
    front_door: HttpUrl | None = Field(
        None,
        description="Where callers come in, such as https://decisions.bank.example. Step Route "
        "asks here which site answers; absent means that nobody has looked, and it says so.",
    )
