"""The one place where status is written: compared first, patched once, an Event on transitions."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from wayfare_operator.cache import Entry
from wayfare_operator.kube.client import ApiError, ApiUnreachable
from wayfare_operator.kube.events import event
from wayfare_operator.kube.kinds import BY_NAME, EVENT, Object
from wayfare_operator.reconcile.world import World
from wayfare_operator.status import Transition, transitions

log = structlog.get_logger(__name__)


async def write_status(
    world: World, entry: Entry, wanted: Object, *, also: Sequence[Transition] = ()
) -> bool:
    """Patch an object's status if it differs; True when something was written. `also`: Events
    beside those that follow from the conditions."""
    if entry.status == wanted:
        return False
    kind = BY_NAME[entry.ref.kind]
    body: Object = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": entry.ref.name,
            "namespace": entry.ref.namespace,
            # The object may have been deleted and made again meanwhile.
            "uid": entry.uid,
        },
        "status": wanted,
    }
    try:
        written = await world.kube.apply(kind, body, force=True, sub="status")
    except ApiError as error:
        # 404: gone. 409: another object of that name by now. Either way the watch tells.
        if error.status in (404, 409):
            if error.status == 404:
                world.cache.remove(entry.ref, entry.uid)
            return False
        raise
    world.cache.put(kind, written)
    for said in (*transitions(entry.status, wanted), *also):
        told = event(entry, said, now=world.now(), reporter=world.settings.pod_name)
        try:
            await world.kube.create(EVENT, told)
        except (ApiError, ApiUnreachable) as error:
            # An Event is a courtesy; the conditions say the same.
            log.warning("an Event was not posted", object=str(entry.ref), error=str(error))
    return True
