-- What reconciliations keep beside the log: the differences of each run, and the replay's state as of the last proved
-- position. Safe on a live system: everything here is new.

-- One row for each difference of a run; counts and digests stand in the run's event. Written before the run ends, so that a
-- completed run has them all; a run that is taken up again begins with none.
create table reconciliation_differences (
    run_id    uuid   not null,
    tenant_id uuid   not null,
    line      bigint not null check (line > 0),    -- the order in which they were found, counted over all tenants
    class     text   not null,
    source    text   not null,                     -- a table of ours, or the log
    key       text   not null,
    ours      text,
    theirs    text,
    amount    bigint,
    position  bigint,                              -- where the log says it, if it does
    case_id   uuid,                                -- absent where there were more than a run opens
    primary key (run_id, line)
);
create index reconciliation_differences_tenant on reconciliation_differences (run_id, tenant_id, line);

-- The replay's state, in parts. Its SHA-256 stands in the event that ended the run: what does not have it is not used.
create table reconciliation_snapshots (
    run_id   uuid   not null,
    part     int    not null check (part >= 0),
    position bigint not null check (position > 0),
    bytes    bytea  not null,
    primary key (run_id, part)
);

grant select, insert, delete on reconciliation_differences, reconciliation_snapshots to quotary_service;
