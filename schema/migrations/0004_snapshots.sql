-- The state of long streams as of a sequence, so that loading reads only what came after. Derived: may be emptied at any
-- time. Safe on a live system: everything here is new.

create table snapshots (
    aggregate_type text   not null,
    aggregate_id   text   not null,
    tenant_id      uuid   not null,
    shape          text   not null,   -- a digest of the state's shape; another shape is not read
    sequence       bigint not null check (sequence > 0),
    state          json   not null,
    primary key (aggregate_type, aggregate_id)
);

grant select, insert, update, delete on snapshots to quotary_service;
