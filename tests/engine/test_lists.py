"""Lists by HTTP, and what they mean for a send."""

from __future__ import annotations

import pytest

from tests.engine.conftest import Pods
from tests.engine.test_sending import outcomes, plan_channel, plan_of, planned
from tests.servers.channel_host import HostProcess
from tests.servers.wait import until

pytestmark = pytest.mark.usefixtures("the_plan_of_others")


def test_who_is_on_a_block_list_is_not_contacted(pods: Pods, sink: HostProcess) -> None:
    answer = pods.client.post(
        "/v1/lists/do-not-contact",
        json=[{"customer": f"customer-{n}", "member": n < 2} for n in range(3)],
    )
    assert answer.status_code == 200, answer.text
    assert [each["version"] for each in answer.json()["members"]] == [1, 1, 1]
    channel = plan_channel("listed", sink.url)
    pods.publish(plan_of(channel, governance={"blockLists": ["do-not-contact"]}))
    keys = planned(pods.dsn, "default/listed", 4, "lists")
    until(
        lambda: outcomes(pods.dsn, keys) == ["Rejected", "Rejected", "Accepted", "Accepted"],
        what="the two are left alone",
    )
    answer = pods.client.post(
        "/v1/lists/do-not-contact", json={"customer": "customer-0", "member": False}
    )
    assert answer.json()["members"][0]["version"] == 2
    again = planned(pods.dsn, "default/listed", 1, "lists-again")
    until(lambda: outcomes(pods.dsn, again) == ["Accepted"], what="off the list again")


def test_what_is_no_list_or_no_member_is_refused(pods: Pods) -> None:
    for path, body, status in (
        ("/v1/lists/Not-A-List", {"customer": "c", "member": True}, 404),
        ("/v1/lists/fine", {"customer": "", "member": True}, 422),
        ("/v1/lists/fine", {"customer": "c"}, 422),
        ("/v1/lists/fine", {"customer": "c\n", "member": True}, 422),
    ):
        assert pods.client.post(path, json=body).status_code == status, (path, body)
