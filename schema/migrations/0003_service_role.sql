-- The role that the service works under: it can add to the log and read it, never change or delete what stands there.
-- Safe on a live system: grants only. The role belongs to the whole cluster, so it may exist already.

do $$
begin
    if not exists (select from pg_roles where rolname = 'quotary_service') then
        create role quotary_service nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

grant usage on schema public to quotary_service;
grant select, insert on events, receipts, claims to quotary_service;
grant select, update on log_head to quotary_service;
grant select, insert, update, delete on account_secrets, refresh_tokens, data_keys to quotary_service;
grant execute on function append_events to quotary_service;
-- So that a process can tell whether the database has the schema it needs. The table is the migrator's; who applies these
-- files by hand does not have it.
do $$
begin
    if to_regclass('public._sqlx_migrations') is not null then
        grant select on public._sqlx_migrations to quotary_service;
    end if;
end
$$;
