-- The event log: the only truth. Positions are dense and in commit order, because every append holds the row of
-- log_head until it commits. Safe on a live system: everything here is new.

create table log_head (
    only_row    boolean primary key default true check (only_row),
    position    bigint not null check (position >= 0),
    recorded_at timestamptz not null
);
insert into log_head (position, recorded_at) values (0, '-infinity');

-- The first seven columns after position, event_id and tenant_id have the names and types of postgres-es, so that the
-- stock crate can read the log. payload is json, not jsonb: the stored bytes are the bytes that were written.
create table events (
    position       bigint      primary key check (position > 0),
    event_id       uuid        not null,
    tenant_id      uuid        not null,
    aggregate_type text        not null,
    aggregate_id   text        not null,
    sequence       bigint      not null check (sequence > 0),
    event_type     text        not null,
    event_version  text        not null,
    payload        json        not null,
    metadata       json        not null,
    recorded_at    timestamptz not null,
    constraint events_stream unique (aggregate_type, aggregate_id, sequence)
);

-- The stored outcome of a command, found again by its idempotency key. Written in the transaction of its events.
create table receipts (
    tenant_id    uuid        not null,
    key_hash     bytea       not null check (octet_length(key_hash) = 32),
    request_hash bytea       not null check (octet_length(request_hash) = 32),
    position     bigint      not null,
    response     bytea       not null,
    recorded_at  timestamptz not null,
    primary key (tenant_id, key_hash)
);

-- Values that only one aggregate may have (usernames, e-mail hashes, tenant names). Written with its events.
create table claims (
    tenant_id uuid not null,
    kind      text not null,
    value     text not null,
    owner_id  uuid not null,
    primary key (tenant_id, kind, value)
);

-- Appends a batch of requests in one atomic step, or writes nothing and says which streams, receipts and claims are in
-- the way. Indexes in the answer are 1-based places in the arrays given.
create function append_events(
    check_types text[], check_ids text[], check_expected bigint[],
    event_ids uuid[], event_tenants uuid[], event_stream_types text[], event_stream_ids text[], event_sequences bigint[],
    event_types text[], event_versions text[], event_payloads text[], event_metadata text[],
    receipt_tenants uuid[], receipt_keys bytea[], receipt_requests bytea[], receipt_events int[], receipt_responses bytea[],
    claim_tenants uuid[], claim_kinds text[], claim_values text[], claim_owners uuid[],
    out base_position bigint, out base_recorded_at timestamptz,
    out stream_conflicts int[], out taken_receipts int[], out taken_claims int[]
) language plpgsql as $$
declare
    head log_head%rowtype;
    added bigint := coalesce(array_length(event_ids, 1), 0);
begin
    -- Its own statement: whoever waits here sees, in the next statement, what the holder before committed.
    select * into strict head from log_head for update;

    select array_agg(c.place::int) into stream_conflicts
    from unnest(check_types, check_ids, check_expected) with ordinality as c (type, id, expected, place)
    where c.expected is distinct from coalesce((
        -- One probe of events_stream per stream.
        select e.sequence from events e
        where e.aggregate_type = c.type and e.aggregate_id = c.id
        order by e.sequence desc limit 1
    ), 0);

    if array_length(receipt_keys, 1) > 0 then
        select array_agg(r.place::int) into taken_receipts
        from unnest(receipt_tenants, receipt_keys) with ordinality as r (tenant, key, place)
        where exists (select from receipts x where x.tenant_id = r.tenant and x.key_hash = r.key);
    end if;

    if array_length(claim_kinds, 1) > 0 then
        select array_agg(n.place::int) into taken_claims
        from unnest(claim_tenants, claim_kinds, claim_values) with ordinality as n (tenant, kind, value, place)
        where exists (select from claims x where x.tenant_id = n.tenant and x.kind = n.kind and x.value = n.value);
    end if;

    if stream_conflicts is not null or taken_receipts is not null or taken_claims is not null then
        return;
    end if;

    base_position := head.position;
    -- Strictly increasing, whatever the clock does: each event one microsecond after the one before.
    base_recorded_at := greatest(clock_timestamp(), head.recorded_at);

    insert into events (position, event_id, tenant_id, aggregate_type, aggregate_id, sequence,
                        event_type, event_version, payload, metadata, recorded_at)
    select base_position + n.place, n.id, n.tenant, n.stream_type, n.stream_id, n.sequence,
           n.type, n.version, n.payload::json, n.metadata::json, base_recorded_at + n.place * interval '1 microsecond'
    from unnest(event_ids, event_tenants, event_stream_types, event_stream_ids, event_sequences,
                event_types, event_versions, event_payloads, event_metadata)
         with ordinality as n (id, tenant, stream_type, stream_id, sequence, type, version, payload, metadata, place);

    if array_length(receipt_keys, 1) > 0 then
        insert into receipts (tenant_id, key_hash, request_hash, position, response, recorded_at)
        select r.tenant, r.key, r.request, base_position + r.last_event, r.response, base_recorded_at
        from unnest(receipt_tenants, receipt_keys, receipt_requests, receipt_events, receipt_responses)
             as r (tenant, key, request, last_event, response);
    end if;

    if array_length(claim_kinds, 1) > 0 then
        insert into claims (tenant_id, kind, value, owner_id)
        select * from unnest(claim_tenants, claim_kinds, claim_values, claim_owners);
    end if;

    if added > 0 then
        update log_head set position = base_position + added,
                            recorded_at = base_recorded_at + added * interval '1 microsecond';
        -- Wakes readers in other processes; one per batch. They poll as well, so a lost wake-up costs only time.
        perform pg_notify('quotary_log', (base_position + added)::text);
    end if;
end
$$;
