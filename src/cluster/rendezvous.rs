//! Who should own a tenant: of all processes the one whose hash with the tenant is the highest. When one comes or goes, only its own
//! tenants change hands, and nobody keeps a list.

use sha2::{Digest as _, Sha256};

use crate::{tenant::TenantId, vault::InstanceId};

/// `None`: there is no candidate. The order of the candidates makes no difference.
pub fn should_own<'a>(
    tenant: &TenantId,
    candidates: impl IntoIterator<Item = &'a InstanceId>,
) -> Option<&'a InstanceId> {
    candidates.into_iter().max_by_key(|candidate| (weight(tenant, candidate), candidate.0.clone()))
}

/// The same in every build: processes of several versions must agree.
fn weight(tenant: &TenantId, candidate: &InstanceId) -> [u8; 32] {
    Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(&*candidate.0).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instances(names: &[&str]) -> Vec<InstanceId> {
        names.iter().map(|name| InstanceId((*name).into())).collect()
    }

    fn tenant(n: usize) -> TenantId {
        format!("tenant-{n}").parse().unwrap()
    }

    #[test]
    fn only_what_belonged_to_who_is_gone_changes_hands() {
        let all = instances(&["a", "b", "c"]);
        let without_b = instances(&["c", "a"]);
        let mut shares = [0; 3];
        for n in 0..3000 {
            let owner = should_own(&tenant(n), &all).unwrap();
            shares[all.iter().position(|instance| instance == owner).unwrap()] += 1;
            if *owner != all[1] {
                assert_eq!(should_own(&tenant(n), &without_b), Some(owner));
            }
        }
        assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
        assert_eq!(should_own(&tenant(1), &[]), None);
    }

    /// Another version of the program must come to the same.
    #[test]
    fn the_hash_is_a_contract() {
        let all = instances(&["01K0AAAA", "01K0BBBB", "01K0CCCC"]);
        let owners: Vec<_> = (0..8).map(|n| &*should_own(&tenant(n), &all).unwrap().0).collect();
        assert_eq!(owners.len(), 8);
        assert_eq!(hex::encode(&weight(&tenant(0), &all[0])[..8]), "daf2f7c938eb373e");
    }
}
