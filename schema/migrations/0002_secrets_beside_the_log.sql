-- What must be erasable, or must never be in an append-only log: password hashes, e-mail addresses, sessions and the
-- keys of personal data. Safe on a live system: everything here is new.

create table account_secrets (
    account_id           uuid        primary key,
    tenant_id            uuid        not null,
    password_hash        text        not null,
    must_change_password boolean     not null,
    email                text,                       -- sealed with the account's data key
    failed_logins        int         not null default 0 check (failed_logins >= 0),
    locked_until         timestamptz,
    sessions_valid_from  timestamptz not null        -- tokens issued before are void
);

create table refresh_tokens (
    token_hash bytea       primary key check (octet_length(token_hash) = 32),
    family_id  uuid        not null,
    tenant_id  uuid        not null,
    account_id uuid        not null,
    expires_at timestamptz not null,
    used_at    timestamptz,                          -- a second use revokes the family
    revoked_at timestamptz
);
create index refresh_tokens_family on refresh_tokens (family_id);
create index refresh_tokens_account on refresh_tokens (account_id);

-- A key per person, wrapped by the master key. Deleting the row erases what it sealed, wherever that stands.
create table data_keys (
    tenant_id   uuid not null,
    subject_id  uuid not null,
    wrapped_key text not null,
    primary key (tenant_id, subject_id)
);
