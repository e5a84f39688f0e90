-- A person's key that was deleted leaves a mark, so that none is ever made again for the same person and nothing sealed
-- with it can be opened, whatever writes here later. Safe on a live system: a column is added, and what stands is allowed.

alter table data_keys alter column wrapped_key drop not null;
alter table data_keys add column erased_at timestamptz;
-- Set before an erasure is decided, so that one that was cut off behind its event is found and finished.
alter table data_keys add column erasing_since timestamptz;
create index data_keys_erasing on data_keys (erasing_since) where erasing_since is not null;
alter table data_keys add constraint data_keys_erased check ((wrapped_key is null) = (erased_at is not null));

create function keep_erased() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or new.wrapped_key is not null or new.erased_at is distinct from old.erased_at then
        raise exception 'the key of % was erased for good', old.subject_id;
    end if;
    return new;
end
$$;

create trigger data_keys_stay_erased before update or delete on data_keys
    for each row when (old.erased_at is not null) execute function keep_erased();
