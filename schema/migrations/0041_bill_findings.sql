-- What the reconciliation of a bill found, beside the log: every line and every order in its class. The event that ends the run
-- has the SHA-256 of the whole; a run that is taken up again begins with none. Safe on a live system: the tables are new.

create table bill_reports (
    run_id    uuid primary key,
    tenant_id uuid not null,
    head      text not null              -- the report's JSON up to the first finding
);

create table bill_findings (
    run_id     uuid   not null,
    number     bigint not null check (number > 0),   -- in the order of the report
    tenant_id  uuid   not null,
    class      text   not null,
    key        text   not null,
    difference numeric,                              -- lines minus orders, in minor units
    finding    json   not null,                      -- as it stands in the report
    case_id    uuid,                                 -- absent if it is no difference
    primary key (run_id, number)
);
create index bill_findings_class on bill_findings (run_id, class, number);

grant select, insert, delete on bill_reports, bill_findings to quotary_service;

-- The orders of a tenant, out of the log. Orders are new with this version, so it has nothing to take in; building it reads the
-- log once, and appends wait for that long.
create index events_orders on events (tenant_id, position) where aggregate_type = 'Order';
