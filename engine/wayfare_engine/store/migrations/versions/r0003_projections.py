"""The tables that are functions of the chains: each is declared in `wayfare_engine.projections`."""

from alembic import op

revision = "0003"
down_revision = "0002"

# Text is COLLATE "C": the order of keys is that of their bytes, at every site and in our own code.
# `epoch` and `row_id` (and their like in `outbox`) say which row of the ledger the state is from;
# they settle ties, so that rows may arrive in any order.
TABLES = """
CREATE TABLE wayfare.profile_changes (
    customer_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    value json NOT NULL,
    PRIMARY KEY (customer_id, name)
);
-- An identifier leads to the customer with the highest (version, epoch, row_id).
CREATE TABLE wayfare.identities (
    kind text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    PRIMARY KEY (kind, value, customer_id)
);
CREATE INDEX identities_customer ON wayfare.identities (customer_id);
CREATE TABLE wayfare.event_windows (
    customer_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    events bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, name, hour)
);
CREATE TABLE wayfare.list_members (
    list text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    member boolean NOT NULL,
    PRIMARY KEY (list, customer_id)
);
CREATE INDEX list_members_customer ON wayfare.list_members (customer_id);
CREATE TABLE wayfare.opt_outs (
    customer_id text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    out boolean NOT NULL,
    PRIMARY KEY (customer_id, channel)
);
-- One row a send that was dispatched: the authority for caps.
CREATE TABLE wayfare.contacts (
    send_key text COLLATE "C" PRIMARY KEY,
    at timestamptz NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    site text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL
);
CREATE INDEX contacts_customer ON wayfare.contacts (customer_id, at);
-- What was shown inline, a customer, journey and day (UTC).
CREATE TABLE wayfare.counters (
    customer_id text COLLATE "C" NOT NULL,
    journey text COLLATE "C" NOT NULL,
    day date NOT NULL,
    shown bigint NOT NULL,
    PRIMARY KEY (customer_id, journey, day)
);
CREATE TABLE wayfare.journey_instances (
    instance text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    journey text COLLATE "C" NOT NULL,
    node text COLLATE "C" NOT NULL,
    visit int NOT NULL,
    state text COLLATE "C" NOT NULL,
    entry_key text COLLATE "C" NOT NULL,
    due timestamptz
);
CREATE INDEX journey_instances_customer ON wayfare.journey_instances (customer_id);
-- A send's intent, its newest dispatch, its outcome, and the furthest receipt. The parts arrive in
-- any order: a row may have a dispatch before its intent. Zero in the first column of a part
-- (intent_epoch, attempt, outcome_rank, receipt_rank) says that it has not come.
CREATE TABLE wayfare.outbox (
    send_key text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    intent_epoch bigint NOT NULL DEFAULT 0,
    intent_id uuid,
    planned_at timestamptz,
    instance text COLLATE "C",
    journey text COLLATE "C",
    node text COLLATE "C",
    visit int,
    channel text COLLATE "C",
    due timestamptz,
    expires timestamptz,
    guard text COLLATE "C",
    payload json,
    attempt int NOT NULL DEFAULT 0,
    dispatch_epoch bigint,
    dispatch_id uuid,
    dispatched_at timestamptz,
    dispatch_site text COLLATE "C",
    dispatch_channel text COLLATE "C",
    dispatch_guard text COLLATE "C",
    outcome_rank bigint NOT NULL DEFAULT 0,
    outcome_epoch bigint,
    outcome_id uuid,
    outcome text COLLATE "C",
    outcome_attempt int NOT NULL DEFAULT 0,
    outcome_at timestamptz,
    detail text COLLATE "C",
    provider_id text COLLATE "C",
    receipt_rank int NOT NULL DEFAULT 0,
    receipt_at timestamptz,
    receipt text COLLATE "C",
    first_dispatched_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX outbox_customer ON wayfare.outbox (customer_id);
CREATE TABLE wayfare.assignments (
    experiment text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    arm text COLLATE "C" NOT NULL,
    PRIMARY KEY (experiment, customer_id)
);
CREATE INDEX assignments_customer ON wayfare.assignments (customer_id);
CREATE TABLE wayfare.approvals (
    subject text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    decision text COLLATE "C" NOT NULL,
    by text COLLATE "C" NOT NULL,
    comment text COLLATE "C" NOT NULL
);
-- Rows of other chains that were put back by a merge, each once, and what was made of it.
CREATE TABLE wayfare.merged_rows (
    origin_id uuid PRIMARY KEY,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    origin_site text COLLATE "C" NOT NULL,
    origin_epoch bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    resolution text COLLATE "C" NOT NULL
);
CREATE TABLE wayfare.erased (
    customer_id text COLLATE "C" PRIMARY KEY
);
CREATE TABLE wayfare.retention_cutoffs (
    projection text COLLATE "C" PRIMARY KEY,
    before timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
