-- Where every read model stands, and the schema through which queries see the generation that serves. Safe on a live
-- system: everything here is new.

create table projections (
    name       text        not null check (name ~ '^[a-z][a-z_]{0,40}$'),
    generation int         not null check (generation > 0),
    version    int         not null,                          -- the shape of its tables
    checkpoint bigint      not null default 0 check (checkpoint >= 0),
    state      text        not null check (state in ('building', 'serving', 'retired')),
    created_at timestamptz not null default now(),
    switched_at timestamptz,
    primary key (name, generation)
) with (fillfactor = 50);                                     -- the checkpoint moves all the time: room for HOT updates
create unique index projections_serving on projections (name) where state = 'serving';

-- The role that owns and writes read models. Runners take it with "set local role", so that the service itself can only
-- read them. Whoever the service logs in as must be a member of quotary_service and of quotary_projector; the owner who
-- migrates becomes one here. Roles belong to the whole cluster, so all of this may be there already.
do $$
begin
    begin
        if not exists (select from pg_roles where rolname = 'quotary_projector') then
            create role quotary_projector nologin;
        end if;
    exception
        when duplicate_object or unique_violation then null;
    end;
    if not pg_has_role(current_user, 'quotary_projector', 'member') then
        begin
            execute format('grant quotary_projector to %I', current_user);
        exception
            when duplicate_object or unique_violation then null;
        end;
    end if;
    -- Each generation of a read model has a schema of its own.
    execute format('grant create on database %I to quotary_projector', current_database());
end
$$;

create schema read authorization quotary_projector;
grant usage on schema read to quotary_service;
grant usage on schema public to quotary_projector;
grant select, insert, update, delete on projections to quotary_projector;
grant select on projections to quotary_service;
grant select on log_head to quotary_projector;
