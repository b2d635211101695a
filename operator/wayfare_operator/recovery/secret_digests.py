"""Whether both sites have the Secrets that a plan names: a pod that mounts them tells digests.

The operator reads no Secret. It makes one, with a key that is derived from the operators' common
key, and the Check's Job has a container that mounts what the plan names, each if it is there.
"""

from __future__ import annotations

import base64
import hashlib

from wayfare_engine.resources import RecoveryPlan
from wayfare_engine.runs.secrets import key_for
from wayfare_operator.desired import pods
from wayfare_operator.desired.metadata import MANAGED_BY, MANAGED_BY_LABEL, owner
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import SECRET, Object
from wayfare_operator.reconcile.world import World

_FOLDER = "/etc/wayfare/planned-secrets"
_KEY = "key"
_VARIABLE = "WAYFARE_SECRETS_DIGEST_KEY"


async def make_key(world: World, plan: RecoveryPlan, plan_id: str) -> str | None:
    """Make the Secret with the key for digests; its name, or None where nothing is to be told.

    The name says which key it is: the operator can make a Secret, and neither read nor change one.
    """
    keys = world.recovery.keys
    if not plan.spec.secrets or keys is None:
        return None
    key = key_for(keys, plan_id)
    which = hashlib.sha256(key.encode()).hexdigest()[:8]
    name = f"{plan.metadata.name}-secrets-{which}"
    body: Object = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.name,
        "metadata": {
            "name": name,
            "namespace": plan.metadata.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "ownerReferences": [owner(plan)],
        },
        "type": "Opaque",
        "data": {_KEY: base64.b64encode(key.encode()).decode()},
    }
    try:
        await world.kube.create(SECRET, body)
    except ApiError as error:
        if error.status != 409:
            raise
    return name


def with_digests(template: Object, plan: RecoveryPlan, key_secret: str) -> Object:
    """A Check's pod template with the container that tells the digests before the checks. Pure."""
    spec = template["spec"]
    [check] = spec["containers"]
    names = [each.name for each in plan.spec.secrets]
    present = [each.name for each in plan.spec.secrets if each.compare == "Present"]
    told = {
        **check,
        "name": "secrets",
        "command": [
            *("wayfare", "recovery", "secrets", _FOLDER),
            *(word for name in present for word in ("--present", name)),
        ],
        "env": [*check["env"], pods.from_secret(_VARIABLE, key_secret, _KEY)],
        "volumeMounts": [
            *check["volumeMounts"],
            *(
                {"name": f"planned-{place}", "mountPath": f"{_FOLDER}/{name}", "readOnly": True}
                for place, name in enumerate(names)
            ),
        ],
    }
    volumes = [
        {"name": f"planned-{place}", "secret": {"secretName": name, "optional": True}}
        for place, name in enumerate(names)
    ]
    return {
        **template,
        "spec": {
            **spec,
            "initContainers": [told],
            "volumes": [*spec["volumes"], *volumes],
        },
    }
