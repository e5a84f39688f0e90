-- The seal of the log: the tree's hashes in tiles, signed checkpoints, and the keys that sign. Safe on a live system: all is
-- new. The service can add to these tables and read them, as with the log itself.

-- Hashes `first`, `first` + 1 … of a tile of 256. A tile grows by rows, each beginning where the one before ended; the key
-- keeps two sealers from growing it in two ways.
create table seal_tiles (
    level  smallint not null check (level between 0 and 7),
    tile   bigint   not null check (tile >= 0),
    first  smallint not null check (first between 0 and 255),
    hashes bytea    not null check (octet_length(hashes) between 32 and 32 * (256 - first) and octet_length(hashes) % 32 = 0),
    primary key (level, tile, first)
);
-- Hashes can't be compressed; trying costs time on every write.
alter table seal_tiles alter column hashes set storage external;

-- Every checkpoint that was published, as a signed note.
create table seal_checkpoints (
    size      bigint      primary key check (size > 0),
    note      text        not null,
    sealed_at timestamptz not null default clock_timestamp()
);

-- Every issue of the list of keys, as a signed note.
create table seal_keys (
    serial bigint primary key check (serial > 0),
    note   text   not null
);

grant select, insert on seal_tiles, seal_checkpoints, seal_keys to quotary_service;
