"""Whether a site holds its epoch because it took it, and how it lets go of it in a planned move."""

from alembic import op

revision = "0020"
down_revision = "0019"

STANDING = """
-- `leased`: there is an object store, so an epoch is held only by who took it. `own`: the highest
-- epoch that was ever held here; 0: none. `state` is what a planned move asks of this site, for
-- `run`, since `state_at`:
--   Quiescing  no turns are taken any more; what is under way ends
--   Quiesced   nobody writes under the epoch any more, and what is left is sealed
--   StoodDown  this site does not act and says so
ALTER TABLE wayfare.site_epoch
    ADD COLUMN leased boolean NOT NULL DEFAULT false,
    ADD COLUMN own bigint NOT NULL DEFAULT 1,
    ADD COLUMN state text NOT NULL DEFAULT 'Normal'
        CHECK (state IN ('Normal', 'Quiescing', 'Quiesced', 'StoodDown')),
    ADD COLUMN run text,
    ADD COLUMN state_at timestamptz;
UPDATE wayfare.site_epoch SET own = CASE WHEN held THEN epoch ELSE coalesce(
    (SELECT max(t.epoch) FROM wayfare.epochs_taken t WHERE t.step IN ('Raised', 'Acting')), 0) END;

-- Processes that send, from before they begin until they ended. `stopped_for`: the run for which
-- one has said that nothing of it is under way and that it takes no turns.
CREATE TABLE wayfare.senders (
    pod_uid text PRIMARY KEY,
    epoch bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stopped_for text
);

-- As before, and: holding an epoch ends every state, and hearing of a higher one those of a move
-- that is over with it.
CREATE OR REPLACE FUNCTION wayfare.raise_epoch(wanted bigint, hold boolean DEFAULT true)
RETURNS void LANGUAGE plpgsql AS $$
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
    UPDATE wayfare.site_epoch SET
        state = CASE WHEN hold OR (wanted > epoch AND state <> 'StoodDown')
            THEN 'Normal' ELSE state END,
        own = CASE WHEN hold THEN wanted ELSE own END,
        epoch = wanted, held = hold, highest_seen = greatest(highest_seen, wanted);
    PERFORM pg_notify('wayfare_epoch', wanted::text);
END $$;

-- There is an object store. A database that did not take its epoch does not hold it from here on,
-- whatever a migration put there. Only the first call does anything.
CREATE FUNCTION wayfare.lease_site() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    present bigint;
BEGIN
    IF (SELECT leased FROM wayfare.site_epoch) THEN
        RETURN;
    END IF;
    SELECT epoch INTO present FROM wayfare.site_epoch WHERE NOT leased FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM wayfare.epochs_taken
            WHERE epoch = present AND step IN ('Raised', 'Acting')) THEN
        PERFORM wayfare.raise_epoch(present, false);
        UPDATE wayfare.site_epoch SET own = 0;
    END IF;
    UPDATE wayfare.site_epoch SET leased = true;
END $$;

-- What another site's chain says is applied here: its epoch is that site's, not one that a
-- migration put here.
CREATE FUNCTION wayfare.applied_epoch(chain_site text, chain_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wayfare.saw_epoch(chain_epoch);
    IF EXISTS (SELECT FROM wayfare.site_epoch WHERE held AND chain_epoch >= epoch)
        AND NOT EXISTS (SELECT FROM wayfare.sealed_epochs
            WHERE site = chain_site AND epoch = chain_epoch)
        AND NOT EXISTS (SELECT FROM wayfare.epochs_taken t JOIN wayfare.site_epoch e
            ON e.epoch = t.epoch WHERE t.step IN ('Raised', 'Acting')) THEN
        PERFORM wayfare.raise_epoch((SELECT epoch FROM wayfare.site_epoch), false);
        UPDATE wayfare.site_epoch SET own = 0;
    END IF;
END $$;

-- For the rest of the transaction this site does not come to hold its epoch.
CREATE FUNCTION wayfare.enter_standby() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    present bigint;
    here boolean;
    locked bigint := 0;
BEGIN
    PERFORM wayfare.require_read_committed();
    LOOP
        SELECT epoch, held INTO present, here FROM wayfare.site_epoch;
        EXIT WHEN present = locked;
        PERFORM pg_advisory_xact_lock_shared(x'5745504f'::int, (present % 2147483647)::int);
        locked := present;
    END LOOP;
    IF here THEN
        RAISE EXCEPTION 'this site holds epoch %', present USING ERRCODE = 'WF003';
    END IF;
END $$;
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(STANDING.replace("%", "%%"))
