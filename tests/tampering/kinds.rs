//! The kinds of tampering, as a superuser would do them, and what an auditor must say.

use crate::scene::Marks;

/// How it is done. `:sent` and `:size` stand for marks of the log.
pub enum Tamper {
    /// Statements.
    Sql(&'static [&'static str]),
    /// Statements, and the stored tree made again to fit; the key is not at hand.
    TilesMadeAgain(&'static [&'static str]),
    /// Statements, and everything sealed again by another key.
    SealedAgain(&'static [&'static str]),
}

/// A kind of tampering.
pub struct Kind {
    /// In a few words.
    pub name: &'static str,
    /// How.
    pub tamper: Tamper,
    /// The first wrong position, and the kind of the finding.
    pub expected: fn(&Marks) -> (u64, &'static str),
    /// Whether only somebody can see it who has kept a checkpoint: everything here was cut together.
    pub needs_kept_checkpoint: bool,
}

const fn kind(name: &'static str, tamper: Tamper, expected: fn(&Marks) -> (u64, &'static str)) -> Kind {
    Kind { name, tamper, expected, needs_kept_checkpoint: false }
}

fn sent(marks: &Marks) -> (u64, &'static str) {
    (marks.sent, "altered")
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    kind(
        "an amount changed",
        Tamper::Sql(&[
            r#"update events set payload = replace(payload::text, '"amount":5', '"amount":6')::json where position = :sent"#,
        ]),
        sent,
    ),
    kind(
        "a space added to a payload",
        Tamper::Sql(&["update events set payload = (payload::text || ' ')::json where position = :sent"]),
        sent,
    ),
    kind(
        "the actor changed",
        Tamper::Sql(&[
            r#"update events set metadata = replace(metadata::text, '"actor":"0', '"actor":"1')::json where position = :sent"#,
        ]),
        sent,
    ),
    kind(
        "the time moved by a microsecond",
        Tamper::Sql(&["update events set recorded_at = recorded_at - interval '1 microsecond' where position = :sent"]),
        sent,
    ),
    kind(
        "the id changed",
        Tamper::Sql(&["update events set event_id = gen_random_uuid() where position = :sent"]),
        sent,
    ),
    kind(
        "moved to another tenant",
        Tamper::Sql(&["update events set tenant_id = gen_random_uuid() where position = :sent"]),
        sent,
    ),
    kind("the type renamed", Tamper::Sql(&["update events set event_type = 'QuotaLost' where position = :sent"]), sent),
    kind(
        "the version of the shape changed",
        Tamper::Sql(&["update events set event_version = '2' where position = :sent"]),
        sent,
    ),
    kind(
        "the sequence changed",
        Tamper::Sql(&["update events set sequence = sequence + 1000 where position = :sent"]),
        sent,
    ),
    kind(
        "given to another agent",
        Tamper::Sql(&["update events set aggregate_id = gen_random_uuid()::text where position = :sent"]),
        sent,
    ),
    kind("a row deleted in the middle", Tamper::Sql(&["delete from events where position = :sent"]), |marks| {
        (marks.sent, "position")
    }),
    kind(
        "a row deleted and those behind it renumbered",
        Tamper::Sql(&[
            "delete from events where position = :sent",
            "update events set position = position + 1000000 where position > :sent",
            "update events set position = position - 1000001 where position > 1000000",
            "update log_head set position = position - 1",
        ]),
        sent,
    ),
    kind(
        "the tail deleted and the head moved back",
        Tamper::Sql(&["delete from events where position > :sent", "update log_head set position = :sent"]),
        |marks| (marks.sent + 1, "position"),
    ),
    Kind {
        name: "the tail deleted, with its tiles and checkpoints",
        tamper: Tamper::TilesMadeAgain(&[
            "delete from seal_checkpoints where size > (select max(size) from seal_checkpoints where size < :sent)",
            "delete from events where position > (select max(size) from seal_checkpoints)",
            "update log_head set position = (select max(size) from seal_checkpoints)",
        ]),
        expected: |marks| (marks.sealed_before + 1, "checkpoint"),
        needs_kept_checkpoint: true,
    },
    kind(
        "a forged row inserted and those behind it renumbered",
        Tamper::Sql(&[
            "update events set position = position + 1000000 where position >= :sent",
            "update events set position = position - 999999 where position >= 1000000",
            "insert into events select :sent, gen_random_uuid(), tenant_id, aggregate_type, aggregate_id, sequence + 5000, event_type, \
             event_version, payload, metadata, recorded_at - interval '1 microsecond' from events where position = :sent + 1",
            "update log_head set position = position + 1",
        ]),
        sent,
    ),
    kind(
        "two rows swapped",
        Tamper::Sql(&[
            "update events set position = 1000000 where position = :sent",
            "update events set position = :sent where position = :sent + 2",
            "update events set position = :sent + 2 where position = 1000000",
        ]),
        sent,
    ),
    kind("all events deleted", Tamper::Sql(&["truncate events", "update log_head set position = 0"]), |_| {
        (1, "position")
    }),
    kind(
        "an event doubled",
        Tamper::Sql(&[
            "alter table events drop constraint events_pkey, drop constraint events_stream",
            "insert into events select * from events where position = :sent",
        ]),
        |marks| (marks.sent + 1, "position"),
    ),
    kind(
        "an event replayed under a new position",
        Tamper::Sql(&[
            "alter table events drop constraint events_stream",
            "update events set position = position + 1000000 where position > :sent",
            "update events set position = position - 999999 where position > 1000000",
            "insert into events select position + 1, event_id, tenant_id, aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, recorded_at from events where position = :sent",
        ]),
        |marks| (marks.sent + 1, "altered"),
    ),
    kind(
        "a transfer of another amount that keeps every sum",
        Tamper::Sql(&[
            r#"update events set payload = replace(payload::text, '"amount":5', '"amount":7')::json where position in (:sent, :sent + 1)"#,
        ]),
        sent,
    ),
    kind(
        "a hash of an event changed",
        Tamper::Sql(&[
            "update seal_tiles set hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) where level = 0 and tile = 0 and first = 0",
        ]),
        |_| (1, "tile"),
    ),
    kind(
        "a hash of a higher tile changed",
        Tamper::Sql(&[
            "update seal_tiles set hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) where level = 1 and tile = 0 and first = 0",
        ]),
        |_| (1, "tile"),
    ),
    kind("tiles deleted", Tamper::Sql(&["delete from seal_tiles where level = 0 and tile = 1"]), |_| {
        (257, "incomplete")
    }),
    kind(
        "the signature of a checkpoint changed",
        Tamper::Sql(&[
            "update seal_checkpoints set note = left(note, -9) || translate(right(note, 9), 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'BADCFEHGJILKNMPORQTSVUXWZYbadcfehgjilknmporqtsvuxwzy1032547698') where size = :size",
        ]),
        |marks| (marks.size, "signature"),
    ),
    kind(
        "a checkpoint of another size",
        Tamper::Sql(&[
            "update seal_checkpoints set note = regexp_replace(note, E'\\n[0-9]+\\n', E'\\n2\\n') where size = :size",
        ]),
        |_| (2, "signature"),
    ),
    kind(
        "an event changed and the whole tree made again, without the key",
        Tamper::TilesMadeAgain(&[
            r#"update events set payload = replace(payload::text, '"amount":5', '"amount":7')::json where position in (:sent, :sent + 1)"#,
        ]),
        |marks| (marks.sealed_before + 1, "checkpoint"),
    ),
    kind(
        "an event changed and everything sealed again by another key",
        Tamper::SealedAgain(&[
            r#"update events set payload = replace(payload::text, '"amount":5', '"amount":7')::json where position in (:sent, :sent + 1)"#,
            "truncate seal_tiles, seal_checkpoints, seal_keys",
        ]),
        |_| (0, "signature"),
    ),
];
