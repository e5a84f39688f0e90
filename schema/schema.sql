-- Made by `make generate` from schema/migrations and the read models; don't edit.

CREATE SCHEMA accounts_1;

CREATE SCHEMA audit_1;

CREATE SCHEMA cases_1;

CREATE SCHEMA holds_1;

CREATE SCHEMA journals_1;

CREATE SCHEMA ledger_1;

CREATE SCHEMA license_ends_1;

CREATE SCHEMA license_stats_1;

CREATE SCHEMA licenses_1;

CREATE SCHEMA movements_1;

CREATE SCHEMA notices_1;

CREATE SCHEMA orders_1;

CREATE SCHEMA projects_1;

CREATE SCHEMA proposals_1;

CREATE SCHEMA read;

CREATE SCHEMA reconciliations_1;

CREATE SCHEMA withdrawals_1;

CREATE FUNCTION public.append_events(check_types text[], check_ids text[], check_expected bigint[], event_ids uuid[], event_tenants uuid[], event_stream_types text[], event_stream_ids text[], event_sequences bigint[], event_types text[], event_versions text[], event_payloads text[], event_metadata text[], receipt_tenants uuid[], receipt_keys bytea[], receipt_requests bytea[], receipt_events integer[], receipt_responses bytea[], claim_tenants uuid[], claim_kinds text[], claim_values text[], claim_owners uuid[], OUT base_position bigint, OUT base_recorded_at timestamp with time zone, OUT stream_conflicts integer[], OUT taken_receipts integer[], OUT taken_claims integer[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.keep_erased() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if tg_op = 'DELETE' or new.wrapped_key is not null or new.erased_at is distinct from old.erased_at then
        raise exception 'the key of % was erased for good', old.subject_id;
    end if;
    return new;
end
$$;

CREATE TABLE accounts_1.accounts (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    username text NOT NULL,
    role text NOT NULL,
    ancestors uuid[] NOT NULL,
    parent_id uuid,
    disabled boolean NOT NULL,
    rates integer[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sequence bigint NOT NULL
);

CREATE TABLE accounts_1.tenants (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE audit_1.audit_trail (
    tenant_id uuid NOT NULL,
    "position" bigint NOT NULL,
    actor text,
    command text,
    aggregate_type text NOT NULL,
    aggregate_id uuid NOT NULL,
    event_type text NOT NULL,
    correlation_id text,
    recorded_at timestamp with time zone NOT NULL,
    occurred_at timestamp with time zone NOT NULL
);

CREATE TABLE cases_1.case_notes (
    case_id uuid NOT NULL,
    sequence bigint NOT NULL,
    by_id uuid NOT NULL,
    note text NOT NULL,
    at timestamp with time zone NOT NULL
);

CREATE TABLE cases_1.cases (
    case_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    class text NOT NULL,
    key text NOT NULL,
    status text NOT NULL,
    run_id uuid NOT NULL,
    ours text,
    theirs text,
    amount bigint,
    opened_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    resolved_by uuid,
    resolution text,
    explanation text,
    reference text,
    sequence bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT cases_status_check CHECK ((status = ANY (ARRAY['open'::text, 'resolved'::text, 'vanished'::text])))
);

CREATE TABLE holds_1.holds (
    hold_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    amount bigint NOT NULL,
    amount_left bigint NOT NULL,
    purpose text NOT NULL,
    purpose_id uuid NOT NULL,
    held_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    "position" bigint NOT NULL,
    CONSTRAINT holds_amount_check CHECK ((amount > 0)),
    CONSTRAINT holds_check CHECK (((amount_left >= 0) AND (amount_left <= amount))),
    CONSTRAINT holds_purpose_check CHECK ((purpose = ANY (ARRAY['batch'::text, 'withdrawal'::text, 'transfer'::text])))
);

CREATE TABLE journals_1.account_daily (
    tenant_id uuid NOT NULL,
    account text NOT NULL,
    day date NOT NULL,
    amount bigint NOT NULL,
    postings bigint NOT NULL,
    last_position bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE journals_1.account_totals (
    tenant_id uuid NOT NULL,
    account text NOT NULL,
    balance bigint NOT NULL,
    "position" bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE journals_1.journal_rows (
    tenant_id uuid NOT NULL,
    "position" bigint NOT NULL,
    journal_id uuid NOT NULL,
    kind text NOT NULL,
    agent_id uuid NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    amount bigint NOT NULL,
    counter_account text,
    counter_after bigint,
    source_kind text NOT NULL,
    source_id uuid NOT NULL,
    counterparty uuid,
    note text,
    actor text,
    command text,
    correlation_id text,
    occurred_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT journal_rows_amount_check CHECK ((amount > 0)),
    CONSTRAINT journal_rows_check CHECK (((counter_account IS NULL) = ((available + held) = 0))),
    CONSTRAINT journal_rows_check1 CHECK (((counter_account IS NULL) = (counter_after IS NULL)))
);

CREATE TABLE ledger_1.balances (
    agent_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT balances_available_check CHECK ((available >= 0)),
    CONSTRAINT balances_held_check CHECK ((held >= 0))
)
WITH (fillfactor='70');

CREATE TABLE ledger_1.entries (
    agent_id uuid NOT NULL,
    "position" bigint NOT NULL,
    tenant_id uuid NOT NULL,
    journal_id uuid NOT NULL,
    kind text NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    counter_account text,
    source_kind text NOT NULL,
    source_id uuid NOT NULL,
    counterparty uuid,
    note text,
    actor text,
    recorded_at timestamp with time zone NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    available_after bigint NOT NULL,
    held_after bigint NOT NULL,
    CONSTRAINT entries_available_after_check CHECK ((available_after >= 0)),
    CONSTRAINT entries_held_after_check CHECK ((held_after >= 0))
);

CREATE TABLE ledger_1.ledger_totals (
    tenant_id uuid NOT NULL,
    account text NOT NULL,
    balance bigint NOT NULL
)
WITH (fillfactor='50');

CREATE VIEW ledger_1.postings AS
 SELECT e."position",
    ((p.amount > 0))::integer AS line,
    e.tenant_id,
    p.account,
    p.agent_id,
    e.journal_id,
    e.kind,
    p.amount,
    e.source_kind,
    e.source_id,
    e.counterparty,
    e.note,
    e.actor,
    e.recorded_at,
    e.occurred_at
   FROM (ledger_1.entries e
     CROSS JOIN LATERAL ( VALUES ((('agent:'::text || e.agent_id) || ':available'::text),e.agent_id,e.available), ((('agent:'::text || e.agent_id) || ':held'::text),e.agent_id,e.held), (e.counter_account,NULL::uuid,(- (e.available + e.held)))) p(account, agent_id, amount))
  WHERE (p.amount <> 0);

CREATE TABLE ledger_1.quota_daily (
    agent_id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    tenant_id uuid NOT NULL,
    entries bigint NOT NULL,
    received bigint NOT NULL,
    given bigint NOT NULL,
    moved bigint NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    last_position bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE license_ends_1.license_ends (
    license_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    expires_at timestamp with time zone,
    noted timestamp with time zone
);

CREATE TABLE license_stats_1.batch_days (
    batch_id uuid NOT NULL,
    subject_id integer NOT NULL,
    day date NOT NULL,
    issued bigint NOT NULL,
    exported bigint NOT NULL,
    CONSTRAINT batch_days_check CHECK ((exported <= issued))
);

CREATE TABLE license_stats_1.license_cohorts (
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    day date NOT NULL,
    issued bigint NOT NULL,
    exported bigint NOT NULL,
    activated bigint NOT NULL,
    activated_within_7_days bigint NOT NULL,
    CONSTRAINT license_cohorts_check CHECK (((exported <= issued) AND (activated <= issued) AND (activated_within_7_days <= activated)))
);

CREATE TABLE license_stats_1.license_days (
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    day date NOT NULL,
    issued bigint NOT NULL,
    exported bigint NOT NULL,
    activated bigint NOT NULL,
    unbound bigint NOT NULL,
    disabled bigint NOT NULL,
    revoked bigint NOT NULL,
    renewed bigint NOT NULL
);

CREATE TABLE license_stats_1.license_facts (
    license_id uuid NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    subject_id integer NOT NULL
);

CREATE TABLE license_stats_1.license_subjects (
    subject_id integer NOT NULL,
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    agent_id uuid NOT NULL
);

ALTER TABLE license_stats_1.license_subjects ALTER COLUMN subject_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME license_stats_1.license_subjects_subject_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE licenses_1.batch_numbers (
    batch_id uuid NOT NULL,
    last bigint NOT NULL
);

CREATE TABLE licenses_1.batches (
    batch_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    project_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    count bigint NOT NULL,
    total_price bigint NOT NULL,
    issued bigint NOT NULL,
    status text NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    completed_at timestamp with time zone,
    exports bigint NOT NULL,
    exported bigint NOT NULL,
    order_id uuid,
    refunded_at timestamp with time zone,
    refunded bigint,
    disabled bigint NOT NULL,
    "position" bigint NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT batches_check CHECK (((issued >= 0) AND (issued <= count))),
    CONSTRAINT batches_check1 CHECK (((disabled >= 0) AND (disabled <= issued))),
    CONSTRAINT batches_sequence_check CHECK ((sequence > 0)),
    CONSTRAINT batches_status_check CHECK ((status = ANY (ARRAY['issuing'::text, 'completed'::text, 'stopped'::text]))),
    CONSTRAINT batches_total_price_check CHECK ((total_price >= 0))
);

CREATE TABLE licenses_1.licenses (
    license_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    plan_version bigint NOT NULL,
    agent_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    number bigint NOT NULL,
    key_hash text NOT NULL COLLATE pg_catalog."C",
    key_sealed text NOT NULL,
    duration_days bigint,
    max_machines bigint NOT NULL,
    features json NOT NULL,
    policy json,
    issued_at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    activated_at timestamp with time zone,
    expires_at timestamp with time zone,
    in_use boolean NOT NULL,
    disabled boolean NOT NULL,
    revoked boolean NOT NULL,
    extra_days bigint NOT NULL,
    unbinds bigint NOT NULL,
    unbound_at timestamp with time zone,
    holder text,
    transfers bigint NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT licenses_sequence_check CHECK ((sequence > 0))
)
WITH (fillfactor='50');

CREATE TABLE licenses_1.machines (
    license_id uuid NOT NULL,
    fingerprint_hash text NOT NULL COLLATE pg_catalog."C",
    tenant_id uuid NOT NULL,
    name text,
    held_until timestamp with time zone,
    bound_at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL
);

CREATE TABLE licenses_1.meters (
    license_id uuid NOT NULL,
    meter text NOT NULL,
    used bigint NOT NULL,
    CONSTRAINT meters_used_check CHECK ((used > 0))
);

CREATE TABLE movements_1.transfers (
    journal_id uuid NOT NULL,
    "position" bigint NOT NULL,
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    from_id uuid,
    to_id uuid NOT NULL,
    amount bigint NOT NULL,
    note text,
    actor text,
    status text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    reasons text,
    expires_at timestamp with time zone,
    settlement uuid,
    moved bigint,
    decided_by uuid,
    decided_at timestamp with time zone,
    reason text,
    reversal uuid,
    reversed bigint,
    CONSTRAINT transfers_amount_check CHECK ((amount > 0)),
    CONSTRAINT transfers_check CHECK (((moved > 0) AND (moved <= amount))),
    CONSTRAINT transfers_check1 CHECK (((reversed > 0) AND (reversed <= COALESCE(moved, amount)))),
    CONSTRAINT transfers_kind_check CHECK ((kind = ANY (ARRAY['transfer'::text, 'top_up'::text]))),
    CONSTRAINT transfers_status_check CHECK ((status = ANY (ARRAY['completed'::text, 'suspended'::text, 'refused'::text, 'expired'::text, 'reversed'::text, 'partly_reversed'::text])))
);

CREATE TABLE notices_1.notices (
    account_id uuid NOT NULL,
    "position" bigint NOT NULL,
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    amount bigint NOT NULL,
    occurred_at timestamp with time zone NOT NULL
);

CREATE TABLE notices_1.people (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    role text NOT NULL,
    ancestors uuid[] NOT NULL,
    "position" bigint NOT NULL
);

CREATE TABLE notices_1.subjects (
    subject_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    from_id uuid,
    to_id uuid,
    asked_by uuid NOT NULL,
    amount bigint NOT NULL
);

CREATE TABLE orders_1.orders (
    order_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    batch_id uuid,
    provider text NOT NULL COLLATE pg_catalog."C",
    provider_order_id text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    currency text NOT NULL,
    paid_at timestamp with time zone NOT NULL,
    refunded_amount bigint NOT NULL,
    refunded_at timestamp with time zone,
    refunds bigint NOT NULL,
    provider_refund_id text,
    refund_reason text,
    recorded_at timestamp with time zone NOT NULL,
    sequence bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT orders_amount_check CHECK ((amount > 0)),
    CONSTRAINT orders_check CHECK (((refunded_amount >= 0) AND (refunded_amount <= amount)))
);

CREATE TABLE projects_1.grants (
    project_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    expires_at timestamp with time zone,
    granted_at timestamp with time zone NOT NULL
);

CREATE TABLE projects_1.plans (
    plan_id uuid NOT NULL,
    project_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    duration_days integer,
    max_machines integer NOT NULL,
    unit_price bigint NOT NULL,
    features jsonb NOT NULL,
    policy jsonb NOT NULL,
    version bigint NOT NULL,
    retired boolean NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT plans_max_machines_check CHECK ((max_machines > 0)),
    CONSTRAINT plans_unit_price_check CHECK ((unit_price >= 0))
);

CREATE TABLE projects_1.projects (
    project_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    version text,
    callback_url text,
    disabled boolean NOT NULL,
    api_key_id text NOT NULL,
    api_secret text NOT NULL,
    previous_api_key_id text,
    previous_api_secret text,
    previous_until timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT projects_sequence_check CHECK ((sequence > 0))
);

CREATE TABLE projects_1.signing_keys (
    "position" bigint NOT NULL,
    project_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    algorithm text NOT NULL,
    key_id text NOT NULL,
    public_key text NOT NULL,
    secret_key text NOT NULL,
    previous_until timestamp with time zone
);

CREATE TABLE proposals_1.proposals (
    proposal_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    proposed text NOT NULL,
    status text NOT NULL,
    expires_at timestamp with time zone,
    proposed_at timestamp with time zone NOT NULL,
    decided_by uuid,
    decided_at timestamp with time zone,
    reason text,
    sequence bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT proposals_status_check CHECK ((status = ANY (ARRAY['open'::text, 'confirmed'::text, 'declined'::text])))
);

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

CREATE TABLE public.account_secrets (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    password_hash text NOT NULL,
    must_change_password boolean NOT NULL,
    email text,
    failed_logins integer DEFAULT 0 NOT NULL,
    locked_until timestamp with time zone,
    sessions_valid_from timestamp with time zone NOT NULL,
    CONSTRAINT account_secrets_failed_logins_check CHECK ((failed_logins >= 0))
);

CREATE TABLE public.bill_findings (
    run_id uuid NOT NULL,
    number bigint NOT NULL,
    tenant_id uuid NOT NULL,
    class text NOT NULL,
    key text NOT NULL,
    difference numeric,
    finding json NOT NULL,
    case_id uuid,
    CONSTRAINT bill_findings_number_check CHECK ((number > 0))
);

CREATE TABLE public.bill_parts (
    bill_id uuid NOT NULL,
    number integer NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT bill_parts_bytes_check CHECK (((octet_length(bytes) >= 1) AND (octet_length(bytes) <= 1048576))),
    CONSTRAINT bill_parts_number_check CHECK ((number > 0))
);

CREATE TABLE public.bill_reports (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    head text NOT NULL
);

CREATE TABLE public.bills (
    bill_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    uploaded_at timestamp with time zone NOT NULL,
    uploaded_by uuid NOT NULL,
    CONSTRAINT bills_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT bills_size_check CHECK (((size >= 1) AND (size <= 67108864)))
);

CREATE TABLE public.callback_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    http_status integer,
    answer text,
    CONSTRAINT callback_attempts_answer_check CHECK ((octet_length(answer) <= 4096)),
    CONSTRAINT callback_attempts_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT callback_attempts_number_check CHECK ((number > 0))
);

CREATE TABLE public.callback_deliveries (
    delivery_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    license_id uuid,
    order_key uuid NOT NULL,
    type text NOT NULL,
    body text NOT NULL,
    turn bigint NOT NULL,
    status text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    replays integer DEFAULT 0 NOT NULL,
    outcome text,
    happened_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT callback_deliveries_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT callback_deliveries_body_check CHECK (((octet_length(body) >= 2) AND (octet_length(body) <= 65536))),
    CONSTRAINT callback_deliveries_check CHECK (((tries >= 0) AND (tries <= attempts))),
    CONSTRAINT callback_deliveries_check1 CHECK (((status = 'pending'::text) = (finished_at IS NULL))),
    CONSTRAINT callback_deliveries_replays_check CHECK ((replays >= 0)),
    CONSTRAINT callback_deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text])))
);

CREATE TABLE public.callback_intake (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT callback_intake_only_row_check CHECK (only_row),
    CONSTRAINT callback_intake_position_check CHECK (("position" >= 0))
);

CREATE TABLE public.callback_projects (
    project_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    url text,
    callbacks json NOT NULL,
    not_before timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL
);

CREATE TABLE public.callback_refusals (
    delivery_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    license_id uuid NOT NULL,
    code text NOT NULL,
    refused_at timestamp with time zone NOT NULL,
    CONSTRAINT callback_refusals_code_check CHECK (((octet_length(code) >= 1) AND (octet_length(code) <= 100)))
);

CREATE TABLE public.claims (
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    owner_id uuid NOT NULL
);

CREATE TABLE public.data_keys (
    tenant_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    wrapped_key text,
    erased_at timestamp with time zone,
    erasing_since timestamp with time zone,
    CONSTRAINT data_keys_erased CHECK (((wrapped_key IS NULL) = (erased_at IS NOT NULL)))
);

CREATE TABLE public.events (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint NOT NULL,
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT events_position_check CHECK (("position" > 0)),
    CONSTRAINT events_sequence_check CHECK ((sequence > 0))
);

CREATE TABLE public.log_head (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT log_head_only_row_check CHECK (only_row),
    CONSTRAINT log_head_position_check CHECK (("position" >= 0))
);

CREATE TABLE public.projections (
    name text NOT NULL,
    generation integer NOT NULL,
    version integer NOT NULL,
    checkpoint bigint DEFAULT 0 NOT NULL,
    state text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    switched_at timestamp with time zone,
    CONSTRAINT projections_checkpoint_check CHECK ((checkpoint >= 0)),
    CONSTRAINT projections_generation_check CHECK ((generation > 0)),
    CONSTRAINT projections_name_check CHECK ((name ~ '^[a-z][a-z_]{0,40}$'::text)),
    CONSTRAINT projections_state_check CHECK ((state = ANY (ARRAY['building'::text, 'serving'::text, 'retired'::text])))
)
WITH (fillfactor='50');

CREATE TABLE public.receipts (
    tenant_id uuid NOT NULL,
    key_hash bytea NOT NULL,
    request_hash bytea NOT NULL,
    "position" bigint NOT NULL,
    response bytea NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT receipts_key_hash_check CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT receipts_request_hash_check CHECK ((octet_length(request_hash) = 32))
);

CREATE TABLE public.reconciliation_differences (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    line bigint NOT NULL,
    class text NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    ours text,
    theirs text,
    amount bigint,
    "position" bigint,
    case_id uuid,
    CONSTRAINT reconciliation_differences_line_check CHECK ((line > 0))
);

CREATE TABLE public.reconciliation_snapshots (
    run_id uuid NOT NULL,
    part integer NOT NULL,
    "position" bigint NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT reconciliation_snapshots_part_check CHECK ((part >= 0)),
    CONSTRAINT reconciliation_snapshots_position_check CHECK (("position" > 0))
);

CREATE TABLE public.refresh_tokens (
    token_hash bytea NOT NULL,
    family_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT refresh_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.seal_checkpoints (
    size bigint NOT NULL,
    note text NOT NULL,
    sealed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT seal_checkpoints_size_check CHECK ((size > 0))
);

CREATE TABLE public.seal_keys (
    serial bigint NOT NULL,
    note text NOT NULL,
    CONSTRAINT seal_keys_serial_check CHECK ((serial > 0))
);

CREATE TABLE public.seal_tiles (
    level smallint NOT NULL,
    tile bigint NOT NULL,
    first smallint NOT NULL,
    hashes bytea NOT NULL,
    CONSTRAINT seal_tiles_check CHECK ((((octet_length(hashes) >= 32) AND (octet_length(hashes) <= (32 * (256 - first)))) AND ((octet_length(hashes) % 32) = 0))),
    CONSTRAINT seal_tiles_first_check CHECK (((first >= 0) AND (first <= 255))),
    CONSTRAINT seal_tiles_level_check CHECK (((level >= 0) AND (level <= 7))),
    CONSTRAINT seal_tiles_tile_check CHECK ((tile >= 0))
);
ALTER TABLE ONLY public.seal_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE public.snapshots (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    tenant_id uuid NOT NULL,
    shape text NOT NULL,
    sequence bigint NOT NULL,
    state json NOT NULL,
    CONSTRAINT snapshots_sequence_check CHECK ((sequence > 0))
);

CREATE VIEW read.account_daily AS
 SELECT account_daily.tenant_id,
    account_daily.account,
    account_daily.day,
    account_daily.amount,
    account_daily.postings,
    account_daily.last_position
   FROM journals_1.account_daily;

CREATE VIEW read.account_totals AS
 SELECT account_totals.tenant_id,
    account_totals.account,
    account_totals.balance,
    account_totals."position"
   FROM journals_1.account_totals;

CREATE VIEW read.accounts AS
 SELECT accounts.account_id,
    accounts.tenant_id,
    accounts.username,
    accounts.role,
    accounts.ancestors,
    accounts.parent_id,
    accounts.disabled,
    accounts.rates,
    accounts.created_at,
    accounts.sequence
   FROM accounts_1.accounts;

CREATE VIEW read.audit_trail AS
 SELECT audit_trail.tenant_id,
    audit_trail."position",
    audit_trail.actor,
    audit_trail.command,
    audit_trail.aggregate_type,
    audit_trail.aggregate_id,
    audit_trail.event_type,
    audit_trail.correlation_id,
    audit_trail.recorded_at,
    audit_trail.occurred_at
   FROM audit_1.audit_trail;

CREATE VIEW read.balances AS
 SELECT balances.agent_id,
    balances.tenant_id,
    balances.available,
    balances.held,
    balances."position"
   FROM ledger_1.balances;

CREATE VIEW read.batches AS
 SELECT batches.batch_id,
    batches.tenant_id,
    batches.agent_id,
    batches.project_id,
    batches.plan_id,
    batches.count,
    batches.total_price,
    batches.issued,
    batches.status,
    batches.requested_at,
    batches.completed_at,
    batches.exports,
    batches.exported,
    batches.order_id,
    batches.refunded_at,
    batches.refunded,
    batches.disabled,
    batches."position",
    batches.sequence
   FROM licenses_1.batches;

CREATE VIEW read.case_notes AS
 SELECT case_notes.case_id,
    case_notes.sequence,
    case_notes.by_id,
    case_notes.note,
    case_notes.at
   FROM cases_1.case_notes;

CREATE VIEW read.cases AS
 SELECT cases.case_id,
    cases.tenant_id,
    cases.kind,
    cases.source,
    cases.class,
    cases.key,
    cases.status,
    cases.run_id,
    cases.ours,
    cases.theirs,
    cases.amount,
    cases.opened_at,
    cases.seen_at,
    cases.closed_at,
    cases.resolved_by,
    cases.resolution,
    cases.explanation,
    cases.reference,
    cases.sequence,
    cases."position"
   FROM cases_1.cases;

CREATE VIEW read.entries AS
 SELECT entries.agent_id,
    entries."position",
    entries.tenant_id,
    entries.journal_id,
    entries.kind,
    entries.available,
    entries.held,
    entries.counter_account,
    entries.source_kind,
    entries.source_id,
    entries.counterparty,
    entries.note,
    entries.actor,
    entries.recorded_at,
    entries.occurred_at,
    entries.available_after,
    entries.held_after
   FROM ledger_1.entries;

CREATE VIEW read.grants AS
 SELECT grants.project_id,
    grants.agent_id,
    grants.tenant_id,
    grants.expires_at,
    grants.granted_at
   FROM projects_1.grants;

CREATE VIEW read.holds AS
 SELECT holds.hold_id,
    holds.agent_id,
    holds.tenant_id,
    holds.amount,
    holds.amount_left,
    holds.purpose,
    holds.purpose_id,
    holds.held_at,
    holds.expires_at,
    holds."position"
   FROM holds_1.holds;

CREATE VIEW read.journal_rows AS
 SELECT journal_rows.tenant_id,
    journal_rows."position",
    journal_rows.journal_id,
    journal_rows.kind,
    journal_rows.agent_id,
    journal_rows.available,
    journal_rows.held,
    journal_rows.amount,
    journal_rows.counter_account,
    journal_rows.counter_after,
    journal_rows.source_kind,
    journal_rows.source_id,
    journal_rows.counterparty,
    journal_rows.note,
    journal_rows.actor,
    journal_rows.command,
    journal_rows.correlation_id,
    journal_rows.occurred_at,
    journal_rows.recorded_at
   FROM journals_1.journal_rows;

CREATE VIEW read.ledger_totals AS
 SELECT ledger_totals.tenant_id,
    ledger_totals.account,
    ledger_totals.balance
   FROM ledger_1.ledger_totals;

CREATE VIEW read.license_cohorts AS
 SELECT license_cohorts.tenant_id,
    license_cohorts.project_id,
    license_cohorts.plan_id,
    license_cohorts.agent_id,
    license_cohorts.day,
    license_cohorts.issued,
    license_cohorts.exported,
    license_cohorts.activated,
    license_cohorts.activated_within_7_days
   FROM license_stats_1.license_cohorts;

CREATE VIEW read.license_days AS
 SELECT license_days.tenant_id,
    license_days.project_id,
    license_days.plan_id,
    license_days.agent_id,
    license_days.day,
    license_days.issued,
    license_days.exported,
    license_days.activated,
    license_days.unbound,
    license_days.disabled,
    license_days.revoked,
    license_days.renewed
   FROM license_stats_1.license_days;

CREATE VIEW read.license_ends AS
 SELECT license_ends.license_id,
    license_ends.tenant_id,
    license_ends.expires_at,
    license_ends.noted
   FROM license_ends_1.license_ends;

CREATE VIEW read.licenses AS
 SELECT licenses.license_id,
    licenses.tenant_id,
    licenses.project_id,
    licenses.plan_id,
    licenses.plan_version,
    licenses.agent_id,
    licenses.batch_id,
    licenses.number,
    licenses.key_hash,
    licenses.key_sealed,
    licenses.duration_days,
    licenses.max_machines,
    licenses.features,
    licenses.policy,
    licenses.issued_at,
    licenses."position",
    licenses.activated_at,
    licenses.expires_at,
    licenses.in_use,
    licenses.disabled,
    licenses.revoked,
    licenses.extra_days,
    licenses.unbinds,
    licenses.unbound_at,
    licenses.holder,
    licenses.transfers,
    licenses.sequence
   FROM licenses_1.licenses;

CREATE VIEW read.machines AS
 SELECT machines.license_id,
    machines.fingerprint_hash,
    machines.tenant_id,
    machines.name,
    machines.held_until,
    machines.bound_at,
    machines."position"
   FROM licenses_1.machines;

CREATE VIEW read.meters AS
 SELECT meters.license_id,
    meters.meter,
    meters.used
   FROM licenses_1.meters;

CREATE VIEW read.notices AS
 SELECT notices.account_id,
    notices."position",
    notices.tenant_id,
    notices.kind,
    notices.subject_id,
    notices.amount,
    notices.occurred_at
   FROM notices_1.notices;

CREATE VIEW read.orders AS
 SELECT orders.order_id,
    orders.tenant_id,
    orders.agent_id,
    orders.batch_id,
    orders.provider,
    orders.provider_order_id,
    orders.amount,
    orders.currency,
    orders.paid_at,
    orders.refunded_amount,
    orders.refunded_at,
    orders.refunds,
    orders.provider_refund_id,
    orders.refund_reason,
    orders.recorded_at,
    orders.sequence,
    orders."position"
   FROM orders_1.orders;

CREATE VIEW read.plans AS
 SELECT plans.plan_id,
    plans.project_id,
    plans.tenant_id,
    plans.name,
    plans.duration_days,
    plans.max_machines,
    plans.unit_price,
    plans.features,
    plans.policy,
    plans.version,
    plans.retired,
    plans."position"
   FROM projects_1.plans;

CREATE VIEW read.postings AS
 SELECT postings."position",
    postings.line,
    postings.tenant_id,
    postings.account,
    postings.agent_id,
    postings.journal_id,
    postings.kind,
    postings.amount,
    postings.source_kind,
    postings.source_id,
    postings.counterparty,
    postings.note,
    postings.actor,
    postings.recorded_at,
    postings.occurred_at
   FROM ledger_1.postings;

CREATE VIEW read.projects AS
 SELECT projects.project_id,
    projects.tenant_id,
    projects.name,
    projects.description,
    projects.version,
    projects.callback_url,
    projects.disabled,
    projects.api_key_id,
    projects.api_secret,
    projects.previous_api_key_id,
    projects.previous_api_secret,
    projects.previous_until,
    projects.created_at,
    projects.sequence
   FROM projects_1.projects;

CREATE VIEW read.proposals AS
 SELECT proposals.proposal_id,
    proposals.tenant_id,
    proposals.proposed,
    proposals.status,
    proposals.expires_at,
    proposals.proposed_at,
    proposals.decided_by,
    proposals.decided_at,
    proposals.reason,
    proposals.sequence,
    proposals."position"
   FROM proposals_1.proposals;

CREATE VIEW read.quota_daily AS
 SELECT quota_daily.agent_id,
    quota_daily.day,
    quota_daily.kind,
    quota_daily.tenant_id,
    quota_daily.entries,
    quota_daily.received,
    quota_daily.given,
    quota_daily.moved,
    quota_daily.available,
    quota_daily.held,
    quota_daily.last_position
   FROM ledger_1.quota_daily;

CREATE TABLE reconciliations_1.reconciliations (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    request jsonb NOT NULL,
    status text NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    outcome jsonb,
    differences bigint,
    proved bigint,
    reason text,
    detail text,
    sequence bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT reconciliations_kind_check CHECK ((kind = ANY (ARRAY['internal'::text, 'external'::text]))),
    CONSTRAINT reconciliations_status_check CHECK ((status = ANY (ARRAY['requested'::text, 'completed'::text, 'incomplete'::text])))
);

CREATE VIEW read.reconciliations AS
 SELECT reconciliations.run_id,
    reconciliations.tenant_id,
    reconciliations.kind,
    reconciliations.request,
    reconciliations.status,
    reconciliations.requested_at,
    reconciliations.ended_at,
    reconciliations.outcome,
    reconciliations.differences,
    reconciliations.proved,
    reconciliations.reason,
    reconciliations.detail,
    reconciliations.sequence,
    reconciliations."position"
   FROM reconciliations_1.reconciliations;

CREATE VIEW read.signing_keys AS
 SELECT signing_keys."position",
    signing_keys.project_id,
    signing_keys.tenant_id,
    signing_keys.algorithm,
    signing_keys.key_id,
    signing_keys.public_key,
    signing_keys.secret_key,
    signing_keys.previous_until
   FROM projects_1.signing_keys;

CREATE VIEW read.tenants AS
 SELECT tenants.tenant_id,
    tenants.name,
    tenants.created_at
   FROM accounts_1.tenants;

CREATE VIEW read.transfers AS
 SELECT transfers.journal_id,
    transfers."position",
    transfers.tenant_id,
    transfers.kind,
    transfers.from_id,
    transfers.to_id,
    transfers.amount,
    transfers.note,
    transfers.actor,
    transfers.status,
    transfers.occurred_at,
    transfers.recorded_at,
    transfers.reasons,
    transfers.expires_at,
    transfers.settlement,
    transfers.moved,
    transfers.decided_by,
    transfers.decided_at,
    transfers.reason,
    transfers.reversal,
    transfers.reversed
   FROM movements_1.transfers;

CREATE TABLE withdrawals_1.withdrawals (
    withdrawal_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    amount bigint NOT NULL,
    asked_amount bigint NOT NULL,
    status text NOT NULL,
    reasons text,
    expires_at timestamp with time zone,
    released_by uuid,
    released_at timestamp with time zone,
    requested_at timestamp with time zone NOT NULL,
    decided_by uuid,
    decided_at timestamp with time zone,
    reason text,
    paid_by uuid,
    paid_at timestamp with time zone,
    reference text,
    sequence bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT withdrawals_amount_check CHECK ((amount > 0)),
    CONSTRAINT withdrawals_check CHECK ((asked_amount >= amount)),
    CONSTRAINT withdrawals_status_check CHECK ((status = ANY (ARRAY['requested'::text, 'approved'::text, 'refused'::text, 'paid'::text, 'suspended'::text, 'cancelled'::text, 'expired'::text])))
);

CREATE VIEW read.withdrawals AS
 SELECT withdrawals.withdrawal_id,
    withdrawals.tenant_id,
    withdrawals.agent_id,
    withdrawals.amount,
    withdrawals.asked_amount,
    withdrawals.status,
    withdrawals.reasons,
    withdrawals.expires_at,
    withdrawals.released_by,
    withdrawals.released_at,
    withdrawals.requested_at,
    withdrawals.decided_by,
    withdrawals.decided_at,
    withdrawals.reason,
    withdrawals.paid_by,
    withdrawals.paid_at,
    withdrawals.reference,
    withdrawals.sequence,
    withdrawals."position"
   FROM withdrawals_1.withdrawals;

ALTER TABLE ONLY accounts_1.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY accounts_1.accounts
    ADD CONSTRAINT accounts_tenant_id_username_key UNIQUE (tenant_id, username);

ALTER TABLE ONLY accounts_1.tenants
    ADD CONSTRAINT tenants_name_key UNIQUE (name);

ALTER TABLE ONLY accounts_1.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY audit_1.audit_trail
    ADD CONSTRAINT audit_trail_pkey PRIMARY KEY (tenant_id, "position");

ALTER TABLE ONLY cases_1.case_notes
    ADD CONSTRAINT case_notes_pkey PRIMARY KEY (case_id, sequence);

ALTER TABLE ONLY cases_1.cases
    ADD CONSTRAINT cases_pkey PRIMARY KEY (case_id);

ALTER TABLE ONLY holds_1.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (hold_id, agent_id);

ALTER TABLE ONLY journals_1.account_daily
    ADD CONSTRAINT account_daily_pkey PRIMARY KEY (tenant_id, account, day);

ALTER TABLE ONLY journals_1.account_totals
    ADD CONSTRAINT account_totals_pkey PRIMARY KEY (tenant_id, account);

ALTER TABLE ONLY journals_1.journal_rows
    ADD CONSTRAINT journal_rows_pkey PRIMARY KEY (tenant_id, "position");

ALTER TABLE ONLY ledger_1.balances
    ADD CONSTRAINT balances_pkey PRIMARY KEY (agent_id);

ALTER TABLE ONLY ledger_1.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (agent_id, "position");

ALTER TABLE ONLY ledger_1.ledger_totals
    ADD CONSTRAINT ledger_totals_pkey PRIMARY KEY (tenant_id, account);

ALTER TABLE ONLY ledger_1.quota_daily
    ADD CONSTRAINT quota_daily_pkey PRIMARY KEY (agent_id, day, kind);

ALTER TABLE ONLY license_ends_1.license_ends
    ADD CONSTRAINT license_ends_pkey PRIMARY KEY (license_id);

ALTER TABLE ONLY license_stats_1.batch_days
    ADD CONSTRAINT batch_days_pkey PRIMARY KEY (batch_id, subject_id, day);

ALTER TABLE ONLY license_stats_1.license_cohorts
    ADD CONSTRAINT license_cohorts_pkey PRIMARY KEY (tenant_id, project_id, plan_id, agent_id, day);

ALTER TABLE ONLY license_stats_1.license_days
    ADD CONSTRAINT license_days_pkey PRIMARY KEY (tenant_id, project_id, plan_id, agent_id, day);

ALTER TABLE ONLY license_stats_1.license_facts
    ADD CONSTRAINT license_facts_pkey PRIMARY KEY (license_id);

ALTER TABLE ONLY license_stats_1.license_subjects
    ADD CONSTRAINT license_subjects_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY license_stats_1.license_subjects
    ADD CONSTRAINT license_subjects_tenant_id_project_id_plan_id_agent_id_key UNIQUE (tenant_id, project_id, plan_id, agent_id);

ALTER TABLE ONLY licenses_1.batch_numbers
    ADD CONSTRAINT batch_numbers_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY licenses_1.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY licenses_1.licenses
    ADD CONSTRAINT licenses_pkey PRIMARY KEY (license_id);

ALTER TABLE ONLY licenses_1.machines
    ADD CONSTRAINT machines_pkey PRIMARY KEY (license_id, "position");

ALTER TABLE ONLY licenses_1.meters
    ADD CONSTRAINT meters_pkey PRIMARY KEY (license_id, meter);

ALTER TABLE ONLY movements_1.transfers
    ADD CONSTRAINT transfers_pkey PRIMARY KEY (journal_id, "position");

ALTER TABLE ONLY notices_1.notices
    ADD CONSTRAINT notices_pkey PRIMARY KEY (account_id, "position");

ALTER TABLE ONLY notices_1.people
    ADD CONSTRAINT people_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY notices_1.subjects
    ADD CONSTRAINT subjects_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY orders_1.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (order_id);

ALTER TABLE ONLY projects_1.grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (project_id, agent_id);

ALTER TABLE ONLY projects_1.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (plan_id);

ALTER TABLE ONLY projects_1.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY projects_1.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY proposals_1.proposals
    ADD CONSTRAINT proposals_pkey PRIMARY KEY (proposal_id);

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.account_secrets
    ADD CONSTRAINT account_secrets_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.bill_findings
    ADD CONSTRAINT bill_findings_pkey PRIMARY KEY (run_id, number);

ALTER TABLE ONLY public.bill_parts
    ADD CONSTRAINT bill_parts_pkey PRIMARY KEY (bill_id, number);

ALTER TABLE ONLY public.bill_reports
    ADD CONSTRAINT bill_reports_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.bills
    ADD CONSTRAINT bills_content UNIQUE (tenant_id, sha256);

ALTER TABLE ONLY public.bills
    ADD CONSTRAINT bills_pkey PRIMARY KEY (bill_id);

ALTER TABLE ONLY public.callback_attempts
    ADD CONSTRAINT callback_attempts_pkey PRIMARY KEY (delivery_id, number);

ALTER TABLE ONLY public.callback_deliveries
    ADD CONSTRAINT callback_deliveries_pkey PRIMARY KEY (delivery_id);

ALTER TABLE ONLY public.callback_deliveries
    ADD CONSTRAINT callback_deliveries_turn_key UNIQUE (turn);

ALTER TABLE ONLY public.callback_intake
    ADD CONSTRAINT callback_intake_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.callback_projects
    ADD CONSTRAINT callback_projects_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.callback_refusals
    ADD CONSTRAINT callback_refusals_pkey PRIMARY KEY (delivery_id);

ALTER TABLE ONLY public.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (tenant_id, kind, value);

ALTER TABLE ONLY public.data_keys
    ADD CONSTRAINT data_keys_pkey PRIMARY KEY (tenant_id, subject_id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_stream UNIQUE (aggregate_type, aggregate_id, sequence);

ALTER TABLE ONLY public.log_head
    ADD CONSTRAINT log_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.projections
    ADD CONSTRAINT projections_pkey PRIMARY KEY (name, generation);

ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT receipts_pkey PRIMARY KEY (tenant_id, key_hash);

ALTER TABLE ONLY public.reconciliation_differences
    ADD CONSTRAINT reconciliation_differences_pkey PRIMARY KEY (run_id, line);

ALTER TABLE ONLY public.reconciliation_snapshots
    ADD CONSTRAINT reconciliation_snapshots_pkey PRIMARY KEY (run_id, part);

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.seal_checkpoints
    ADD CONSTRAINT seal_checkpoints_pkey PRIMARY KEY (size);

ALTER TABLE ONLY public.seal_keys
    ADD CONSTRAINT seal_keys_pkey PRIMARY KEY (serial);

ALTER TABLE ONLY public.seal_tiles
    ADD CONSTRAINT seal_tiles_pkey PRIMARY KEY (level, tile, first);

ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_type, aggregate_id);

ALTER TABLE ONLY reconciliations_1.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY withdrawals_1.withdrawals
    ADD CONSTRAINT withdrawals_pkey PRIMARY KEY (withdrawal_id);

CREATE INDEX accounts_ancestors_idx ON accounts_1.accounts USING gin (ancestors);

CREATE INDEX audit_trail_aggregate_id_position_idx ON audit_1.audit_trail USING btree (aggregate_id, "position");

CREATE INDEX audit_trail_recorded_at_idx ON audit_1.audit_trail USING brin (recorded_at);

CREATE INDEX audit_trail_tenant_id_actor_position_idx ON audit_1.audit_trail USING btree (tenant_id, actor, "position") WHERE (actor IS NOT NULL);

CREATE INDEX audit_trail_tenant_id_aggregate_type_position_idx ON audit_1.audit_trail USING btree (tenant_id, aggregate_type, "position");

CREATE INDEX audit_trail_tenant_id_correlation_id_idx ON audit_1.audit_trail USING btree (tenant_id, correlation_id) WHERE (correlation_id IS NOT NULL);

CREATE INDEX cases_tenant_id_kind_source_idx ON cases_1.cases USING btree (tenant_id, kind, source) WHERE (status = 'open'::text);

CREATE INDEX cases_tenant_id_status_position_idx ON cases_1.cases USING btree (tenant_id, status, "position");

CREATE INDEX holds_agent_id_position_idx ON holds_1.holds USING btree (agent_id, "position");

CREATE INDEX holds_expires_at_idx ON holds_1.holds USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX journal_rows_actor ON journals_1.journal_rows USING btree (tenant_id, actor, "position") WHERE (actor IS NOT NULL);

CREATE INDEX journal_rows_agent ON journals_1.journal_rows USING btree (agent_id, "position");

CREATE INDEX journal_rows_cause ON journals_1.journal_rows USING btree (tenant_id, correlation_id) WHERE (correlation_id IS NOT NULL);

CREATE INDEX journal_rows_counter ON journals_1.journal_rows USING btree (tenant_id, counter_account, "position") WHERE (counter_account IS NOT NULL);

CREATE INDEX journal_rows_counter_time ON journals_1.journal_rows USING btree (tenant_id, counter_account, occurred_at, "position") WHERE (counter_account IS NOT NULL);

CREATE INDEX journal_rows_journal ON journals_1.journal_rows USING btree (journal_id);

CREATE INDEX journal_rows_kind ON journals_1.journal_rows USING btree (tenant_id, kind, "position");

CREATE INDEX journal_rows_source ON journals_1.journal_rows USING btree (source_id, "position");

CREATE INDEX journal_rows_time ON journals_1.journal_rows USING brin (occurred_at);

CREATE INDEX balances_tenant_id_idx ON ledger_1.balances USING btree (tenant_id);

CREATE INDEX entries_occurred ON ledger_1.entries USING btree (agent_id, occurred_at, "position");

CREATE INDEX quota_daily_tenant_id_day_idx ON ledger_1.quota_daily USING btree (tenant_id, day);

CREATE INDEX license_ends_due ON license_ends_1.license_ends USING btree (expires_at, license_id) WHERE (noted IS DISTINCT FROM expires_at);

CREATE INDEX batches_agent ON licenses_1.batches USING btree (agent_id, "position");

CREATE INDEX batches_issuing ON licenses_1.batches USING btree ("position") WHERE (status = 'issuing'::text);

CREATE INDEX batches_refunded ON licenses_1.batches USING btree ("position") WHERE ((refunded_at IS NOT NULL) AND (disabled < issued));

CREATE INDEX batches_tenant ON licenses_1.batches USING btree (tenant_id, "position");

CREATE INDEX licenses_agent ON licenses_1.licenses USING btree (agent_id, "position");

CREATE UNIQUE INDEX licenses_batch ON licenses_1.licenses USING btree (batch_id, number);

CREATE INDEX licenses_key_hash ON licenses_1.licenses USING hash (key_hash);

CREATE INDEX licenses_project ON licenses_1.licenses USING btree (project_id, "position");

CREATE INDEX licenses_tenant ON licenses_1.licenses USING btree (tenant_id, "position");

CREATE INDEX transfers_expires_at_idx ON movements_1.transfers USING btree (expires_at) WHERE ((status = 'suspended'::text) AND (from_id IS NULL));

CREATE INDEX transfers_from_id_position_idx ON movements_1.transfers USING btree (from_id, "position") WHERE (from_id IS NOT NULL);

CREATE UNIQUE INDEX transfers_settlement_idx ON movements_1.transfers USING btree (settlement) WHERE (settlement IS NOT NULL);

CREATE INDEX transfers_tenant_id_position_idx ON movements_1.transfers USING btree (tenant_id, "position");

CREATE INDEX transfers_tenant_id_position_idx1 ON movements_1.transfers USING btree (tenant_id, "position") WHERE (status = 'suspended'::text);

CREATE INDEX transfers_to_id_position_idx ON movements_1.transfers USING btree (to_id, "position");

CREATE INDEX people_tenant_id_idx ON notices_1.people USING btree (tenant_id) WHERE (role = 'super_admin'::text);

CREATE INDEX orders_agent ON orders_1.orders USING btree (agent_id, paid_at, "position");

CREATE INDEX orders_batch ON orders_1.orders USING btree (batch_id) WHERE (batch_id IS NOT NULL);

CREATE UNIQUE INDEX orders_number ON orders_1.orders USING btree (tenant_id, provider, provider_order_id);

CREATE INDEX orders_paid ON orders_1.orders USING btree (tenant_id, paid_at, "position");

CREATE INDEX orders_provider ON orders_1.orders USING btree (tenant_id, provider, paid_at, "position");

CREATE INDEX grants_agent ON projects_1.grants USING btree (agent_id);

CREATE INDEX plans_project ON projects_1.plans USING btree (project_id, "position");

CREATE INDEX projects_tenant ON projects_1.projects USING btree (tenant_id, project_id);

CREATE INDEX signing_keys_project ON projects_1.signing_keys USING btree (project_id, "position");

CREATE INDEX proposals_tenant_id_position_idx ON proposals_1.proposals USING btree (tenant_id, "position");

CREATE INDEX proposals_tenant_id_position_idx1 ON proposals_1.proposals USING btree (tenant_id, "position") WHERE (status = 'open'::text);

CREATE INDEX bill_findings_class ON public.bill_findings USING btree (run_id, class, number);

CREATE INDEX callback_deliveries_due ON public.callback_deliveries USING btree (project_id, due_at) WHERE (status = 'pending'::text);

CREATE INDEX callback_deliveries_finished ON public.callback_deliveries USING btree (finished_at) WHERE (status <> 'pending'::text);

CREATE INDEX callback_deliveries_list ON public.callback_deliveries USING btree (project_id, turn);

CREATE INDEX callback_deliveries_oldest ON public.callback_deliveries USING btree (created_at) WHERE (status = 'pending'::text);

CREATE INDEX callback_deliveries_order ON public.callback_deliveries USING btree (order_key, turn) WHERE (status = 'pending'::text);

CREATE INDEX callback_deliveries_status ON public.callback_deliveries USING btree (project_id, status, turn);

CREATE INDEX data_keys_erasing ON public.data_keys USING btree (erasing_since) WHERE (erasing_since IS NOT NULL);

CREATE INDEX events_orders ON public.events USING btree (tenant_id, "position") WHERE (aggregate_type = 'Order'::text);

CREATE UNIQUE INDEX projections_serving ON public.projections USING btree (name) WHERE (state = 'serving'::text);

CREATE INDEX reconciliation_differences_tenant ON public.reconciliation_differences USING btree (run_id, tenant_id, line);

CREATE INDEX refresh_tokens_account ON public.refresh_tokens USING btree (account_id);

CREATE INDEX refresh_tokens_family ON public.refresh_tokens USING btree (family_id);

CREATE INDEX reconciliations_position_idx ON reconciliations_1.reconciliations USING btree ("position") WHERE (status = 'requested'::text);

CREATE INDEX reconciliations_tenant_id_position_idx ON reconciliations_1.reconciliations USING btree (tenant_id, "position");

CREATE INDEX withdrawals_agent_id_position_idx ON withdrawals_1.withdrawals USING btree (agent_id, "position");

CREATE INDEX withdrawals_tenant_id_position_idx ON withdrawals_1.withdrawals USING btree (tenant_id, "position");

CREATE INDEX withdrawals_tenant_id_status_position_idx ON withdrawals_1.withdrawals USING btree (tenant_id, status, "position") WHERE (status = ANY (ARRAY['requested'::text, 'suspended'::text, 'approved'::text]));

CREATE TRIGGER data_keys_stay_erased BEFORE DELETE OR UPDATE ON public.data_keys FOR EACH ROW WHEN ((old.erased_at IS NOT NULL)) EXECUTE FUNCTION public.keep_erased();

ALTER TABLE ONLY public.callback_attempts
    ADD CONSTRAINT callback_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES public.callback_deliveries(delivery_id) ON DELETE CASCADE;

GRANT USAGE ON SCHEMA accounts_1 TO quotary_service;

GRANT USAGE ON SCHEMA audit_1 TO quotary_service;

GRANT USAGE ON SCHEMA cases_1 TO quotary_service;

GRANT USAGE ON SCHEMA holds_1 TO quotary_service;

GRANT USAGE ON SCHEMA journals_1 TO quotary_service;

GRANT USAGE ON SCHEMA ledger_1 TO quotary_service;

GRANT USAGE ON SCHEMA license_ends_1 TO quotary_service;

GRANT USAGE ON SCHEMA license_stats_1 TO quotary_service;

GRANT USAGE ON SCHEMA licenses_1 TO quotary_service;

GRANT USAGE ON SCHEMA movements_1 TO quotary_service;

GRANT USAGE ON SCHEMA notices_1 TO quotary_service;

GRANT USAGE ON SCHEMA orders_1 TO quotary_service;

GRANT USAGE ON SCHEMA projects_1 TO quotary_service;

GRANT USAGE ON SCHEMA proposals_1 TO quotary_service;

GRANT USAGE ON SCHEMA public TO quotary_service;
GRANT USAGE ON SCHEMA public TO quotary_projector;

GRANT USAGE ON SCHEMA read TO quotary_service;

GRANT USAGE ON SCHEMA reconciliations_1 TO quotary_service;

GRANT USAGE ON SCHEMA withdrawals_1 TO quotary_service;

GRANT ALL ON FUNCTION public.append_events(check_types text[], check_ids text[], check_expected bigint[], event_ids uuid[], event_tenants uuid[], event_stream_types text[], event_stream_ids text[], event_sequences bigint[], event_types text[], event_versions text[], event_payloads text[], event_metadata text[], receipt_tenants uuid[], receipt_keys bytea[], receipt_requests bytea[], receipt_events integer[], receipt_responses bytea[], claim_tenants uuid[], claim_kinds text[], claim_values text[], claim_owners uuid[], OUT base_position bigint, OUT base_recorded_at timestamp with time zone, OUT stream_conflicts integer[], OUT taken_receipts integer[], OUT taken_claims integer[]) TO quotary_service;

GRANT SELECT ON TABLE accounts_1.accounts TO quotary_service;

GRANT SELECT ON TABLE accounts_1.tenants TO quotary_service;

GRANT SELECT ON TABLE audit_1.audit_trail TO quotary_service;

GRANT SELECT ON TABLE cases_1.case_notes TO quotary_service;

GRANT SELECT ON TABLE cases_1.cases TO quotary_service;

GRANT SELECT ON TABLE holds_1.holds TO quotary_service;

GRANT SELECT ON TABLE journals_1.account_daily TO quotary_service;

GRANT SELECT ON TABLE journals_1.account_totals TO quotary_service;

GRANT SELECT ON TABLE journals_1.journal_rows TO quotary_service;

GRANT SELECT ON TABLE ledger_1.balances TO quotary_service;

GRANT SELECT ON TABLE ledger_1.entries TO quotary_service;

GRANT SELECT ON TABLE ledger_1.ledger_totals TO quotary_service;

GRANT SELECT ON TABLE ledger_1.postings TO quotary_service;

GRANT SELECT ON TABLE ledger_1.quota_daily TO quotary_service;

GRANT SELECT ON TABLE license_ends_1.license_ends TO quotary_service;

GRANT SELECT ON TABLE license_stats_1.batch_days TO quotary_service;

GRANT SELECT ON TABLE license_stats_1.license_cohorts TO quotary_service;

GRANT SELECT ON TABLE license_stats_1.license_days TO quotary_service;

GRANT SELECT ON TABLE license_stats_1.license_facts TO quotary_service;

GRANT SELECT ON TABLE license_stats_1.license_subjects TO quotary_service;

GRANT SELECT ON TABLE licenses_1.batch_numbers TO quotary_service;

GRANT SELECT ON TABLE licenses_1.batches TO quotary_service;

GRANT SELECT ON TABLE licenses_1.licenses TO quotary_service;

GRANT SELECT ON TABLE licenses_1.machines TO quotary_service;

GRANT SELECT ON TABLE licenses_1.meters TO quotary_service;

GRANT SELECT ON TABLE movements_1.transfers TO quotary_service;

GRANT SELECT ON TABLE notices_1.notices TO quotary_service;

GRANT SELECT ON TABLE notices_1.people TO quotary_service;

GRANT SELECT ON TABLE notices_1.subjects TO quotary_service;

GRANT SELECT ON TABLE orders_1.orders TO quotary_service;

GRANT SELECT ON TABLE projects_1.grants TO quotary_service;

GRANT SELECT ON TABLE projects_1.plans TO quotary_service;

GRANT SELECT ON TABLE projects_1.projects TO quotary_service;

GRANT SELECT ON TABLE projects_1.signing_keys TO quotary_service;

GRANT SELECT ON TABLE proposals_1.proposals TO quotary_service;

GRANT SELECT ON TABLE public._sqlx_migrations TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.account_secrets TO quotary_service;

GRANT SELECT,INSERT,DELETE ON TABLE public.bill_findings TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.bill_parts TO quotary_service;

GRANT SELECT,INSERT,DELETE ON TABLE public.bill_reports TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.bills TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.callback_attempts TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.callback_deliveries TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.callback_intake TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.callback_projects TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.callback_refusals TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.claims TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.data_keys TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.events TO quotary_service;

GRANT SELECT,UPDATE ON TABLE public.log_head TO quotary_service;
GRANT SELECT ON TABLE public.log_head TO quotary_projector;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.projections TO quotary_projector;
GRANT SELECT ON TABLE public.projections TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.receipts TO quotary_service;

GRANT SELECT,INSERT,DELETE ON TABLE public.reconciliation_differences TO quotary_service;

GRANT SELECT,INSERT,DELETE ON TABLE public.reconciliation_snapshots TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.refresh_tokens TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.seal_checkpoints TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.seal_keys TO quotary_service;

GRANT SELECT,INSERT ON TABLE public.seal_tiles TO quotary_service;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.snapshots TO quotary_service;

GRANT SELECT ON TABLE read.account_daily TO quotary_service;

GRANT SELECT ON TABLE read.account_totals TO quotary_service;

GRANT SELECT ON TABLE read.accounts TO quotary_service;

GRANT SELECT ON TABLE read.audit_trail TO quotary_service;

GRANT SELECT ON TABLE read.balances TO quotary_service;

GRANT SELECT ON TABLE read.batches TO quotary_service;

GRANT SELECT ON TABLE read.case_notes TO quotary_service;

GRANT SELECT ON TABLE read.cases TO quotary_service;

GRANT SELECT ON TABLE read.entries TO quotary_service;

GRANT SELECT ON TABLE read.grants TO quotary_service;

GRANT SELECT ON TABLE read.holds TO quotary_service;

GRANT SELECT ON TABLE read.journal_rows TO quotary_service;

GRANT SELECT ON TABLE read.ledger_totals TO quotary_service;

GRANT SELECT ON TABLE read.license_cohorts TO quotary_service;

GRANT SELECT ON TABLE read.license_days TO quotary_service;

GRANT SELECT ON TABLE read.license_ends TO quotary_service;

GRANT SELECT ON TABLE read.licenses TO quotary_service;

GRANT SELECT ON TABLE read.machines TO quotary_service;

GRANT SELECT ON TABLE read.meters TO quotary_service;

GRANT SELECT ON TABLE read.notices TO quotary_service;

GRANT SELECT ON TABLE read.orders TO quotary_service;

GRANT SELECT ON TABLE read.plans TO quotary_service;

GRANT SELECT ON TABLE read.postings TO quotary_service;

GRANT SELECT ON TABLE read.projects TO quotary_service;

GRANT SELECT ON TABLE read.proposals TO quotary_service;

GRANT SELECT ON TABLE read.quota_daily TO quotary_service;

GRANT SELECT ON TABLE reconciliations_1.reconciliations TO quotary_service;

GRANT SELECT ON TABLE read.reconciliations TO quotary_service;

GRANT SELECT ON TABLE read.signing_keys TO quotary_service;

GRANT SELECT ON TABLE read.tenants TO quotary_service;

GRANT SELECT ON TABLE read.transfers TO quotary_service;

GRANT SELECT ON TABLE withdrawals_1.withdrawals TO quotary_service;

GRANT SELECT ON TABLE read.withdrawals TO quotary_service;

