"""The epoch fence, the order of sealing, partitions, id blocks, repeats of events, the spool."""

from alembic import op

revision = "0002"
down_revision = "0001"

FENCE = """
-- Which epoch this database writes under, whether this site holds it, and the highest epoch that
-- it ever heard of.
CREATE TABLE wayfare.site_epoch (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch bigint NOT NULL CHECK (epoch > 0),
    highest_seen bigint NOT NULL CHECK (highest_seen >= epoch),
    held boolean NOT NULL DEFAULT true
);
INSERT INTO wayfare.site_epoch VALUES (true, 1, 1);

-- The lock comes before the comparison, and each statement of these functions must see what was
-- committed meanwhile: an older snapshot would compare with an epoch that is over.
CREATE FUNCTION wayfare.require_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger is written to under READ COMMITTED only, not under %',
            current_setting('transaction_isolation') USING ERRCODE = 'WF002';
    END IF;
END $$;

-- The first statement of every transaction that writes: lock first, then compare. Comparing
-- without the lock races with a raise; taking the lock also comes before any transaction id.
CREATE FUNCTION wayfare.enter_epoch(wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    present bigint;
    here boolean;
BEGIN
    PERFORM wayfare.require_read_committed();
    PERFORM pg_advisory_xact_lock_shared(x'5745504f'::int, (wanted % 2147483647)::int);
    SELECT epoch, held INTO present, here FROM wayfare.site_epoch;
    IF present <> wanted OR NOT here THEN
        RAISE EXCEPTION 'epoch % cannot be written under: this database is at epoch %, %',
            wanted, present, CASE WHEN here THEN 'held here' ELSE 'held by another site' END
            USING ERRCODE = 'WF001', DETAIL = format('%s %s', present, here);
    END IF;
    PERFORM set_config('wayfare.entered', wanted::text, true);
END $$;

-- Enters whatever epoch is the present one, and says which.
CREATE FUNCTION wayfare.enter_present_epoch() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    present bigint;
    locked bigint := 0;
BEGIN
    PERFORM wayfare.require_read_committed();
    LOOP
        SELECT epoch INTO present FROM wayfare.site_epoch;
        EXIT WHEN present = locked;
        PERFORM pg_advisory_xact_lock_shared(x'5745504f'::int, (present % 2147483647)::int);
        locked := present;
    END LOOP;
    PERFORM wayfare.enter_epoch(present);
    RETURN present;
END $$;

-- Waits for every writer of the present epoch; from then on they are refused. With `hold` false
-- the epoch is another site's, and nobody writes here at all. Two raises at once take turns.
CREATE FUNCTION wayfare.raise_epoch(wanted bigint, hold boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    present bigint;
    locked bigint := 0;
BEGIN
    PERFORM wayfare.require_read_committed();
    LOOP
        SELECT epoch INTO present FROM wayfare.site_epoch;
        EXIT WHEN present = locked;
        PERFORM pg_advisory_xact_lock(x'5745504f'::int, (present % 2147483647)::int);
        locked := present;
    END LOOP;
    IF wanted < present THEN
        RAISE EXCEPTION 'epoch % is lower than the present one, %', wanted, present
            USING ERRCODE = 'WF001', DETAIL = format('%s %s', present,
                (SELECT held FROM wayfare.site_epoch));
    END IF;
    UPDATE wayfare.site_epoch
        SET epoch = wanted, held = hold, highest_seen = greatest(highest_seen, wanted);
    PERFORM pg_notify('wayfare_epoch', wanted::text);
END $$;

-- Remembers that there is such an epoch somewhere.
CREATE FUNCTION wayfare.saw_epoch(seen bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE wayfare.site_epoch SET highest_seen = seen WHERE highest_seen < seen;
$$;

-- Lets this transaction bring rows back that are in some chain already.
CREATE FUNCTION wayfare.enter_restore() RETURNS void LANGUAGE sql AS $$
    SELECT set_config('wayfare.entered', 'restore', true);
$$;

-- Rows come in only through a transaction that entered its epoch, or said that it restores.
CREATE FUNCTION wayfare.require_entered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('wayfare.entered', true), '') = '' THEN
        RAISE EXCEPTION 'a transaction writes to the ledger after wayfare.enter_epoch only'
            USING ERRCODE = 'WF002';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entered BEFORE INSERT ON wayfare.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION wayfare.require_entered();

CREATE INDEX ledger_tx ON wayfare.ledger (tx);
"""

PARTITIONS = """
-- A statement's triggers are those of the table that it names: a partition named directly needs
-- its own.
CREATE FUNCTION wayfare.guard_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER entered BEFORE INSERT ON wayfare.%I
        FOR EACH STATEMENT EXECUTE FUNCTION wayfare.require_entered()', name);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON wayfare.%I
        FOR EACH STATEMENT EXECUTE FUNCTION wayfare.refuse_change()', name);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON wayfare.%I FROM CURRENT_USER', name);
END $$;

SELECT wayfare.guard_partition(c.relname::text) FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'wayfare.ledger'::regclass;

-- Made apart and attached, which lets writers go on; CREATE … PARTITION OF would lock them out
-- behind the longest reader. A day that has rows in the default partition stays there.
CREATE OR REPLACE FUNCTION wayfare.make_ledger_partitions(first date, days int) RETURNS int
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
        CONTINUE WHEN to_regclass('wayfare.' || name) IS NOT NULL;
        CONTINUE WHEN EXISTS (SELECT FROM wayfare.ledger_elsewhere
            WHERE id >= wayfare.first_id(day) AND id < wayfare.first_id(day + 1));
        EXECUTE format('CREATE TABLE wayfare.%I (LIKE wayfare.ledger INCLUDING DEFAULTS)', name);
        EXECUTE format(
            'ALTER TABLE wayfare.ledger ATTACH PARTITION wayfare.%I FOR VALUES FROM (%L) TO (%L)',
            name, wayfare.first_id(day), wayfare.first_id(day + 1));
        PERFORM wayfare.guard_partition(name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
"""

IDS = """
-- Blocks of dense ids, of every site and epoch that is known here. A block may be used once its
-- row is in the store (`sealed`), or at once where no store is configured. `next` is the first id
-- that was not handed out yet; a block that came by replay is handed out no further.
CREATE TABLE wayfare.id_blocks (
    site text NOT NULL,
    epoch bigint NOT NULL,
    first bigint NOT NULL CHECK (first >= 0),
    size bigint NOT NULL CHECK (size > 0),
    next bigint NOT NULL CHECK (next BETWEEN first AND first + size),
    sealed boolean NOT NULL DEFAULT false,
    tx xid8,
    PRIMARY KEY (site, epoch, first)
);

-- Ids that senders gave their events, for as long as a repeat may come.
CREATE TABLE wayfare.event_repeats (
    client_id text PRIMARY KEY,
    row_id uuid NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX event_repeats_at ON wayfare.event_repeats (at);

-- Rows that were answered for when this site did not hold its epoch any more: they are in no
-- chain. `epoch` is the one they were made under. The merge takes them with the stranded rows.
CREATE TABLE wayfare.spooled_rows (
    id uuid PRIMARY KEY,
    site text NOT NULL,
    epoch bigint NOT NULL,
    kind text NOT NULL,
    key text,
    version bigint,
    customer_id text,
    at timestamptz NOT NULL,
    body json NOT NULL,
    spooled_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    """Create everything."""
    for part in (FENCE, PARTITIONS, IDS):
        op.get_bind().exec_driver_sql(part.replace("%", "%%"))
