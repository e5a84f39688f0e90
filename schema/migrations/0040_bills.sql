-- Bills of payment providers, beside the log: the bytes as they came, in parts, found again by their digest. The service
-- can add and read, never change or delete. Safe on a live system: everything here is new.

create table bills (
    bill_id     uuid        primary key,
    tenant_id   uuid        not null,
    sha256      bytea       not null check (octet_length(sha256) = 32),
    size        bigint      not null check (size between 1 and 67108864),
    uploaded_at timestamptz not null,
    uploaded_by uuid        not null,
    constraint bills_content unique (tenant_id, sha256)
);

create table bill_parts (
    bill_id uuid  not null,
    number  int   not null check (number > 0),
    bytes   bytea not null check (octet_length(bytes) between 1 and 1048576),
    primary key (bill_id, number)
);

grant select, insert on bills, bill_parts to quotary_service;
