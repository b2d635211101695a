"""The ledger, and the tables that plans, customers, memberships and keys live in."""

from alembic import op

revision = "0001"
down_revision = None

# The engine may only add rows: its own privileges are taken away, and a trigger holds where the
# privileges do not count (a superuser). Partitions go as a whole, by DROP TABLE.
LEDGER = """
CREATE TABLE wayfare.ledger (
    id uuid PRIMARY KEY,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    site text NOT NULL,
    epoch bigint NOT NULL,
    kind text NOT NULL,
    key text,
    version bigint,
    customer_id text,
    at timestamptz NOT NULL,
    body json NOT NULL
) PARTITION BY RANGE (id);

CREATE TABLE wayfare.ledger_elsewhere PARTITION OF wayfare.ledger DEFAULT;

CREATE FUNCTION wayfare.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of the ledger are never changed or removed'
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON wayfare.ledger
    FOR EACH ROW EXECUTE FUNCTION wayfare.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON wayfare.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION wayfare.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON wayfare.ledger, wayfare.ledger_elsewhere FROM CURRENT_USER;

-- The first id of a day: a UUIDv7 starts with 48 bits of milliseconds since 1970.
CREATE FUNCTION wayfare.first_id(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0')
        || '00000000000000000000')::uuid
$$;

-- One partition a day, for `days` days from `first`. Safe to call from several places at once.
CREATE FUNCTION wayfare.make_ledger_partitions(first date, days int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    day date;
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('wayfare.ledger_partitions'));
    FOR i IN 0 .. days - 1 LOOP
        day := first + i;
        name := 'ledger_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('wayfare.' || name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE wayfare.%I PARTITION OF wayfare.ledger FOR VALUES FROM (%L) TO (%L)',
                name, wayfare.first_id(day), wayfare.first_id(day + 1));
            EXECUTE format(
                'REVOKE UPDATE, DELETE, TRUNCATE ON wayfare.%I FROM CURRENT_USER', name);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

SELECT wayfare.make_ledger_partitions((now() AT TIME ZONE 'UTC')::date - 1, 15);
"""

PLANS = """
CREATE TABLE wayfare.plans (
    digest text PRIMARY KEY,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE wayfare.plans ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE wayfare.wanted_plan (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    digest text NOT NULL REFERENCES wayfare.plans,
    wanted_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE wayfare.plan_acknowledgements (
    pod_uid text PRIMARY KEY,
    pod text NOT NULL,
    plan text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
"""

CUSTOMERS = """
CREATE TABLE wayfare.customers (
    dense bigint PRIMARY KEY CHECK (dense BETWEEN 0 AND 4294967295),
    customer_id text NOT NULL UNIQUE,
    attributes jsonb NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE wayfare.customer_schema (
    name text PRIMARY KEY,
    type text NOT NULL CHECK (type IN ('string', 'int', 'double', 'bool', 'timestamp')),
    position int NOT NULL
);

-- `version` grows with each load that changed something; `customers` is how many there are.
CREATE TABLE wayfare.customer_version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint NOT NULL,
    customers bigint NOT NULL
);
INSERT INTO wayfare.customer_version VALUES (true, 0, 0);

CREATE TABLE wayfare.segment_memberships (
    key text PRIMARY KEY,
    name text NOT NULL,
    bitmap bytea NOT NULL,
    size bigint NOT NULL,
    digest text NOT NULL,
    as_of timestamptz NOT NULL,
    duration_seconds double precision NOT NULL,
    customers_version bigint NOT NULL,
    error text
);
ALTER TABLE wayfare.segment_memberships ALTER COLUMN bitmap SET STORAGE EXTERNAL;
"""

KEYS = """
CREATE TABLE wayfare.api_keys (
    id text PRIMARY KEY,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    scopes text[] NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
"""


def upgrade() -> None:
    """Create everything."""
    for part in (LEDGER, PLANS, CUSTOMERS, KEYS):
        op.get_bind().exec_driver_sql(part.replace("%", "%%"))
