//! One approval opens one wrapped key to one ephemeral key.

use std::time::Duration;

use rand_core::OsRng;
use threshold::encoding::Canonical;
use threshold::secret::DataKey;
use threshold::statement::ReleaseStatement;
use threshold::wrap::wrap;

use crate::world::{World, world};

#[tokio::test]
async fn p4_d13_c4_an_approval_is_for_one_wrapped_key() {
    let world = world().await;
    world.write("p4/mine", b"may be read").await;
    world
        .write("p4/other", b"may be read as well, by its own approval")
        .await;
    let mine = world.approved("p4/mine").await;
    let other = world.approved("p4/other").await;
    let crossed = world.request(&mine.certificates, &other.wrapped).await;
    world.all_refuse(&crossed, "wrong_label").await;
    // One that carries the same label, with a proof that holds.
    let custody = *world.manifest().await.manifest.custody_key();
    let data_key = DataKey::generate(&mut OsRng);
    let lookalike = wrap(&custody, mine.wrapped.label(), &data_key, &mut OsRng).unwrap();
    let replaced = world.request(&mine.certificates, &lookalike).await;
    world.all_refuse(&replaced, "wrong_write_id").await;
    // Used or not makes no difference.
    let own = world.request(&mine.certificates, &mine.wrapped).await;
    for node in world.nodes() {
        world.share(&node, &own).await.unwrap();
    }
    world.all_refuse(&crossed, "wrong_label").await;
    world.all_refuse(&replaced, "wrong_write_id").await;
}

#[tokio::test]
async fn c6_a_changed_wrapped_key_is_refused_by_every_node() {
    let world = world().await;
    world.write("c6/changed", b"as it was written").await;
    let approved = world.approved("c6/changed").await;
    let mut request = world.request(&approved.certificates, &approved.wrapped).await;
    // The last byte is the ciphertext's: everything before parses as it did.
    let last = request.wrapped_key.len() - 1;
    request.wrapped_key[last] ^= 1;
    world.all_refuse(&request, "wrong_write_id").await;
}

#[tokio::test]
async fn d14_p5_approvals_of_two_reads_do_not_add_up() {
    let world = world().await;
    world.write("d14/mixed", b"one document, two readers' keys").await;
    let first = world.approved("d14/mixed").await;
    let second = world.approved("d14/mixed").await;
    assert_eq!(first.wrapped, second.wrapped);
    for mixed in [
        [0, 1]
            .map(|i| first.certificates[i].clone())
            .into_iter()
            .chain([second.certificates[2].clone()]),
        [0, 1]
            .map(|i| second.certificates[i].clone())
            .into_iter()
            .chain([first.certificates[3].clone()]),
    ] {
        let request = world.request(&mixed.collect::<Vec<_>>(), &first.wrapped).await;
        world.all_refuse(&request, "certificates_disagree").await;
    }
}

#[tokio::test]
async fn d13_p5_approvals_of_another_cluster_are_refused() {
    let world = world().await;
    world.write("d13/here", b"of this cluster").await;
    let other = World::new("other").await;
    other.write("d13/here", b"of the other").await;
    let here = world.approved("d13/here").await;
    let there = other.approved("d13/here").await;
    let foreign_approval = world.request(&there.certificates, &here.wrapped).await;
    world
        .all_refuse(&foreign_approval, "certificate_unknown_issuer")
        .await;
    let foreign_key = world.request(&here.certificates, &there.wrapped).await;
    world.all_refuse(&foreign_key, "other_key").await;
    let foreign_committee = other.request(&here.certificates, &here.wrapped).await;
    world.all_refuse(&foreign_committee, "stale_manifest").await;
    other.cluster.shutdown().await.unwrap();
}

#[tokio::test]
async fn p4_d11_the_very_same_request_is_answered_again_as_a_repeat_also_after_kill_9() {
    let mut world = world().await;
    world.write("p4/repeat", b"once, and once more").await;
    let asked = world.ask(&world.alice, "alice", "p4/repeat", Duration::from_secs(30));
    let approved = world.approvals(&asked).await;
    let request = world.request(&approved.certificates, &approved.wrapped).await;
    let mut repeats = Vec::new();
    for step in 0..4 {
        let answer = world.share("crypto-2", &request).await.unwrap();
        let statement = ReleaseStatement::from_bytes(&answer.statement).unwrap();
        assert_eq!(statement.q, asked.reader.public());
        repeats.push(statement.repeat);
        if step == 1 {
            world.cluster.kill("crypto-2").unwrap();
            world.cluster.start_one("crypto-2").await.unwrap();
        }
    }
    assert_eq!(repeats, [false, true, true, true]);
    let journalled: Vec<bool> = world
        .releases("crypto-2")
        .iter()
        .filter(|release| release.approve_id == asked.transaction.tx_id())
        .map(|release| release.repeat)
        .collect();
    assert_eq!(journalled, repeats);
}
