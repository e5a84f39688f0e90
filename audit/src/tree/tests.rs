use proptest::prelude::*;

use super::*;

/// RFC 6962 §2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => empty_root(),
        1 => leaves[0],
        count => {
            let half = (0..usize::BITS).map(|bit| 1 << bit).filter(|k| *k < count).max().unwrap();
            node_hash(&mth(&leaves[..half]), &mth(&leaves[half..]))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

fn collect(tiles: &mut TileSet, runs: Vec<Run>) {
    for run in runs {
        let mut hashes = tiles.get(run.id).unwrap_or_default().to_vec();
        assert_eq!(hashes.len(), run.first);
        hashes.extend(run.hashes);
        assert!(hashes.len() <= TILE_WIDTH);
        tiles.insert(run.id, hashes);
    }
}

/// The tiles of `leaves`, appended in steps of `step`, each step by a new appender.
fn tiles(leaves: &[Hash], step: usize) -> TileSet {
    let mut tiles = TileSet::default();
    let mut size = 0;
    for part in leaves.chunks(step) {
        let mut appender = Appender::resume(size, &tiles).unwrap();
        let runs = appender.extend(part.iter().copied());
        collect(&mut tiles, runs);
        size = appender.size();
        assert_eq!(appender.root(), mth(&leaves[..usize::try_from(size).unwrap()]));
    }
    tiles
}

#[test]
fn the_published_vectors_come_out() {
    use base64::Engine as _;
    let text = |hash: Hash| base64::engine::general_purpose::STANDARD.encode(hash);
    assert_eq!(text(empty_root()), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let leaves: Vec<Hash> = ["a", "b", "c"].into_iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect();
    assert_eq!(text(root_of(&leaves)), "NmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE=");
}

#[test]
fn every_proof_of_a_small_tree_is_right_and_no_other_passes() {
    let leaves = leaves(40);
    let tiles = tiles(&leaves, 7);
    for size in 1..=leaves.len() {
        let root = mth(&leaves[..size]);
        for index in 0..size {
            let proof = inclusion_proof(index as u64, size as u64).unwrap().hashes(&tiles).unwrap();
            let check = |leaf, index, proof: &[Hash]| check_inclusion(leaf, index, proof, size as u64, &root);
            assert_eq!(check(&leaves[index], index as u64, &proof), Ok(()));
            assert!(check(&leaves[(index + 1) % 40], index as u64, &proof).is_err());
            assert!(check(&leaves[index], index as u64 + 1, &proof).is_err());
            if let Some((_, shorter)) = proof.split_last() {
                assert!(check(&leaves[index], index as u64, shorter).is_err());
            }
            let longer: Vec<Hash> = proof.iter().copied().chain([root]).collect();
            assert!(check(&leaves[index], index as u64, &longer).is_err());
        }
        for old in 0..=size {
            let proof = consistency_proof(old as u64, size as u64).unwrap().hashes(&tiles).unwrap();
            let (old_root, other) = (mth(&leaves[..old]), leaf_hash(b"x"));
            let check =
                |old_root, root, proof: &[Hash]| check_consistency(old as u64, old_root, size as u64, root, proof);
            assert_eq!(check(&old_root, &root, &proof), Ok(()), "{old} {size}");
            assert!(old == 0 || check(&other, &root, &proof).is_err());
            assert!(old == 0 || check(&old_root, &other, &proof).is_err());
            let longer: Vec<Hash> = proof.iter().copied().chain([root]).collect();
            assert!(check(&old_root, &root, &longer).is_err());
        }
    }
}

#[test]
fn a_tree_of_three_levels_of_tiles_grows_in_any_steps() {
    let leaves = leaves(66_000);
    for step in [1_000, 65_536, 70_000] {
        let tiles = tiles(&leaves, step);
        for size in [255_u64, 256, 257, 65_535, 65_536, 65_537, 66_000] {
            let root = root_proof(size).hashes(&tiles).unwrap();
            assert_eq!(root, [mth(&leaves[..usize::try_from(size).unwrap()])]);
        }
        let id = TileId { level: 2, index: 0 };
        assert_eq!(tiles.get(id).unwrap(), [mth(&leaves[..65_536])]);
    }
}

#[test]
fn tiles_have_the_paths_of_the_specification() {
    assert_eq!(TileId { level: 0, index: 1_234_067 }.path(256), "tile/0/x001/x234/067");
    assert_eq!(TileId { level: 3, index: 5 }.path(17), "tile/3/005.p/17");
    assert_eq!(entries_path(1_000, 1), "tile/entries/x001/000.p/1");
    for (index, width) in [(0, 256), (999, 1), (1_000, 255), (1_234_067, 256)] {
        let path = TileId { level: 0, index }.path(width);
        assert_eq!(decode_index(path.strip_prefix("tile/0/").unwrap()), Some((index, width)));
    }
    for wrong in [
        "5",
        "0005",
        "x000/005",
        "x001/x234",
        "001/234",
        "005.p/0",
        "005.p/256",
        "005.p/01",
        "-01",
        "",
        "x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(decode_index(wrong), None, "{wrong}");
    }
}

#[test]
fn a_tile_that_is_missing_is_named() {
    let proof = inclusion_proof(300, 70_000).unwrap();
    let missing = proof.hashes(&TileSet::default()).unwrap_err();
    assert!(proof.tiles().contains_key(&missing.id));
    assert!(Appender::resume(300, &TileSet::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn proofs_of_larger_trees_come_from_exactly_the_tiles_that_are_named(
        size in 1_u64..3_000, index in any::<prop::sample::Index>(), old in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(size);
        let all = tiles(&leaves, 250);
        let count = leaves.len();
        let (index, old) = (index.index(count), old.index(count + 1));
        let only = |proof: &Proof| {
            let mut only = TileSet::default();
            for (id, width) in proof.tiles() {
                assert!(width <= id.width(size));
                only.insert(id, all.get(id).unwrap()[..width].to_vec());
            }
            proof.hashes(&only).unwrap()
        };
        let inclusion = only(&inclusion_proof(index as u64, size).unwrap());
        prop_assert_eq!(check_inclusion(&leaves[index], index as u64, &inclusion, size, &mth(&leaves)), Ok(()));
        let consistency = only(&consistency_proof(old as u64, size).unwrap());
        let (old_root, root) = (mth(&leaves[..old]), mth(&leaves));
        prop_assert_eq!(check_consistency(old as u64, &old_root, size, &root, &consistency), Ok(()));
    }
}
