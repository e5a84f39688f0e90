-- Callbacks on their way, beside the log: what is to be told follows from the log by deterministic ids, what became of it stands here.
-- Only the one leader of the deliveries writes, over the connection that holds its lock, except for the inbox of refusals.
-- Losing these tables loses the history of attempts and makes what was told in the last three days be told again under the same
-- ids. Safe on a live system: everything here is new.

-- How far the log was read.
create table callback_intake (
    only_row boolean primary key default true check (only_row),
    position bigint  not null check (position >= 0)
);
insert into callback_intake (position) values (0);

-- What the log says about the callbacks of a project at that position.
create table callback_projects (
    project_id uuid        primary key,
    tenant_id  uuid        not null,
    url        text,
    callbacks  json        not null,               -- types, sealed secrets, whether the address is gone
    not_before timestamptz not null default 'epoch' -- the address asked for a pause
);

create table callback_deliveries (
    delivery_id  uuid        primary key,          -- the webhook-id
    tenant_id    uuid        not null,
    project_id   uuid        not null,
    license_id   uuid,                             -- absent for a test
    order_key    uuid        not null,             -- of those with the same, one is on its way at a time
    type         text        not null,
    body         text        not null check (octet_length(body) between 2 and 65536),
    turn         bigint      not null unique,      -- the place among those with the same order_key
    status       text        not null check (status in ('pending', 'delivered', 'dead')),
    due_at       timestamptz not null,             -- infinity: waits for an earlier one
    attempts     int         not null default 0 check (attempts >= 0),
    tries        int         not null default 0 check (tries between 0 and attempts),   -- since the last replay
    replays      int         not null default 0 check (replays >= 0),
    outcome      text,                             -- of the last attempt, or why there is none
    happened_at  timestamptz not null,
    created_at   timestamptz not null,
    expires_at   timestamptz not null,
    finished_at  timestamptz,
    check ((status = 'pending') = (finished_at is null))
);
create index callback_deliveries_due on callback_deliveries (project_id, due_at) where status = 'pending';
create index callback_deliveries_order on callback_deliveries (order_key, turn) where status = 'pending';
create index callback_deliveries_oldest on callback_deliveries (created_at) where status = 'pending';
create index callback_deliveries_finished on callback_deliveries (finished_at) where status <> 'pending';
create index callback_deliveries_list on callback_deliveries (project_id, turn);
create index callback_deliveries_status on callback_deliveries (project_id, status, turn);

create table callback_attempts (
    delivery_id uuid        not null references callback_deliveries on delete cascade,
    number      int         not null check (number > 0),
    at          timestamptz not null,
    duration_ms int         not null check (duration_ms >= 0),
    outcome     text        not null,
    http_status int,
    answer      text        check (octet_length(answer) <= 4096),   -- its beginning
    primary key (delivery_id, number)
);

-- Refusals of verifications on their way to the leader; any node adds.
create table callback_refusals (
    delivery_id uuid        primary key,
    tenant_id   uuid        not null,
    project_id  uuid        not null,
    license_id  uuid        not null,
    code        text        not null check (octet_length(code) between 1 and 100),
    refused_at  timestamptz not null
);

grant select, insert, update, delete on callback_intake, callback_projects, callback_deliveries, callback_attempts, callback_refusals
    to quotary_service;
