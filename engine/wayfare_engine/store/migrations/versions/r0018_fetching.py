"""Ways out that are fetched: what systems pull, and work items for people."""

from alembic import op

revision = "0018"
down_revision = "0017"

TABLES = """
-- Dispatches of channels that are pulled, from the dispatch until its outcome: whether it may be
-- given to a puller, and until when it was. Of this database alone: another site finds these sends
-- in doubt. Times are compared with this database's clock, and with no other.
CREATE TABLE wayfare.pulled (
    send_key text COLLATE "C" PRIMARY KEY,
    attempt int NOT NULL,
    dispatch_id uuid NOT NULL,
    epoch bigint NOT NULL,
    channel text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    in_doubt boolean NOT NULL,
    known_until timestamptz,
    -- Whether the message is made for the customer when the send is given.
    rendered boolean NOT NULL,
    fallback text COLLATE "C",
    tries int NOT NULL,
    pause double precision NOT NULL,
    give_up_at timestamptz NOT NULL,
    -- Set when the dispatch is in the store; from then until that time it may be given to a puller.
    offered_until timestamptz,
    -- Set when it was given to one.
    leased_until timestamptz
) WITH (fillfactor = 80);
CREATE INDEX pulled_customer ON wayfare.pulled (customer_id, channel);
CREATE INDEX pulled_channel ON wayfare.pulled (channel);

-- The channels that are pulled, and when somebody last asked for their sends.
CREATE TABLE wayfare.pullers (
    channel text COLLATE "C" PRIMARY KEY,
    asked_at timestamptz
);

-- Work items for people. Zero in the first column of a part (made_epoch, rank) says that it has not
-- come: parts arrive in any order.
CREATE TABLE wayfare.tasks (
    send_key text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    made_epoch bigint NOT NULL DEFAULT 0,
    made_id uuid,
    made_at timestamptz,
    channel text COLLATE "C",
    script json,
    outcomes json,
    on_due text COLLATE "C",
    hand_back_to text COLLATE "C",
    expires timestamptz,
    rank int NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    epoch bigint,
    row_id uuid,
    changed_at timestamptz,
    state text COLLATE "C",
    assignee text COLLATE "C",
    due timestamptz,
    holder text COLLATE "C",
    by text COLLATE "C",
    outcome text COLLATE "C",
    note json
) WITH (fillfactor = 80);
CREATE INDEX tasks_customer ON wayfare.tasks (customer_id);
CREATE INDEX tasks_assignee ON wayfare.tasks (assignee, state, due, send_key);
CREATE INDEX tasks_due ON wayfare.tasks (due) WHERE state IN ('Open', 'Taken');
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
