use super::*;

/// The example of `c2sp.org/signed-note`, as Go's sumdb publishes it.
const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const SUMDB_NOTE: &str = "go.sum database tree\n2\nxxxxx\n";

fn key(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, Algorithm::Ed25519, &[seed; 32]).unwrap()
}

#[test]
fn a_published_key_is_read_with_its_id() {
    let key: VerifierKey = SUMDB_KEY.parse().unwrap();
    assert_eq!(key.to_string(), SUMDB_KEY);
    assert_eq!(key.key_id(), [0x03, 0x3d, 0xe0, 0xae]);
    assert_eq!(SUMDB_KEY.replace("033de0ae", "033de0af").parse::<VerifierKey>(), Err(KeyError::Id));
    assert_eq!(SUMDB_KEY.replace("sum.golang.org", "sum golang").parse::<VerifierKey>(), Err(KeyError::Format));
}

#[test]
fn a_note_comes_back_as_it_was_written() {
    let (ours, other) = (key("log.example/q", 1), key("other.example", 2));
    let note = Note::sign("a\n\nb\n".to_owned(), [&ours, &other]).unwrap();
    let read: Note = note.to_string().parse().unwrap();
    assert_eq!(read, note);
    assert_eq!(read.text(), "a\n\nb\n");
    let keys = [ours.verifier(), other.verifier()];
    assert_eq!(read.signed_by(&keys).unwrap().len(), 2);
    assert_eq!(read.signed_by(&keys[1..]).unwrap().len(), 1);
    assert_eq!(read.signed_by(&[key("third", 3).verifier()]), Err(NoteError::Unsigned));
    // The same name with another key is another key.
    assert_eq!(read.signed_by(&[key("log.example/q", 4).verifier()]), Err(NoteError::Unsigned));
}

#[test]
fn one_altered_bit_anywhere_spoils_a_note() {
    let ours = key("log.example/q", 1);
    let note = Note::sign("log.example/q\n7\n".to_owned(), [&ours]).unwrap().to_string();
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let read = String::from_utf8(bytes).ok().and_then(|text| text.parse::<Note>().ok());
        let passes = read.is_some_and(|note| note.signed_by(&[ours.verifier()]).is_ok());
        assert!(!passes, "byte {at} of {note}");
    }
}

#[test]
fn what_is_no_note_is_refused() {
    let note = Note::sign(SUMDB_NOTE.to_owned(), [&key("n", 1)]).unwrap().to_string();
    for wrong in [
        note.trim_end(),
        &note.replace('—', "-"),
        &note.replace("\n\n", "\n"),
        &note.replace('\n', "\r\n"),
        &format!("{note}\n"),
        &format!("{note}more"),
        SUMDB_NOTE,
        "",
    ] {
        assert!(wrong.parse::<Note>().is_err(), "{wrong}");
    }
    assert!(Note::sign("no end".to_owned(), [&key("n", 1)]).is_err());
}

#[test]
fn a_cosignature_says_when() {
    let witness = SignerKey::from_seed("witness.example", Algorithm::Cosignature, &[5; 32]).unwrap();
    let mut note = Note::sign("log\n7\n".to_owned(), [&key("log", 1)]).unwrap();
    note.add(witness.cosign(note.text(), 1_763_722_652));
    let keys = [witness.verifier()];
    let signed = note.signed_by(&keys).unwrap();
    assert_eq!(signed[0].time, Some(1_763_722_652));
    let mut later = witness.cosign(note.text(), 1_763_722_652);
    later.bytes[7] ^= 1;
    note.add(later);
    assert!(note.signed_by(&keys).is_err());
}

#[test]
fn a_signer_key_is_read_back_and_never_shown() {
    let ours = key("log.example/q", 9);
    let read: SignerKey = ours.to_secret_text().parse().unwrap();
    assert_eq!(read.verifier(), ours.verifier());
    let seed = STANDARD.encode([&[1], [9; 32].as_slice()].concat());
    assert!(ours.to_secret_text().contains(&seed));
    assert!(!format!("{ours:?}").contains(&seed));
}

#[test]
fn a_checkpoint_has_one_text() {
    let checkpoint = Checkpoint { origin: "log.example/q".to_owned(), size: 7, root: [3; 32] };
    let text = checkpoint.to_string();
    assert_eq!(text.parse(), Ok(checkpoint));
    for wrong in [
        text.replace("\n7\n", "\n07\n"),
        text.replace("\n7\n", "\n+7\n"),
        format!("{text}more\n"),
        text[..9].to_owned(),
    ] {
        assert_eq!(wrong.parse::<Checkpoint>(), Err(CheckpointError), "{wrong}");
    }
}
