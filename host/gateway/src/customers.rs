//! Who a client is and what it may still spend: customers by the digest of their key, tiers, and
//! budgets for a period.
//!
//! It keeps no key, only digests, and forgets what was spent when the gateway restarts.
//!
//! **Invariant:** a client that presents no listed key is nobody's customer and has no budget.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// A customer that the operator lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerConfig {
    /// Its name.
    pub name: String,
    /// SHA-256 of its key, 64 hexadecimal digits in lower case.
    pub key_sha256: String,
    /// Its tier; empty: none.
    pub tier: String,
    /// Wei that it may spend in a period; `None`: no limit.
    pub budget_wei: Option<u64>,
    /// The period.
    pub period: Duration,
}

/// A customer that has spent what it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("customer `{name}` has spent {spent} of {budget} wei in this period")]
pub(crate) struct BudgetSpent {
    /// Who.
    pub(crate) name: String,
    /// Wei spent.
    pub(crate) spent: u64,
    /// Wei that may be spent.
    pub(crate) budget: u64,
}

/// Finds the customer whose key a client presents; its place in the list.
pub(crate) fn find(customers: &[CustomerConfig], key: Option<&str>) -> Option<usize> {
    let digest = wire::header::hex(&Sha256::digest(key?.as_bytes()));
    let is = |it: &CustomerConfig| wire::header::is_same_secret(&it.key_sha256, &digest);
    customers.iter().position(is)
}

/// Names the tiers of `customers`, each once, in the order of the list.
pub(crate) fn tiers(customers: &[CustomerConfig]) -> Vec<String> {
    let mut tiers = vec![String::new()];
    for customer in customers {
        if !tiers.contains(&customer.tier) {
            tiers.push(customer.tier.clone());
        }
    }
    tiers
}

/// What each customer has spent.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    spent: Vec<Option<(Instant, u64)>>,
}

impl Ledger {
    /// Returns what `customer` may still spend; an error if that is nothing.
    pub(crate) fn left(
        &mut self,
        customers: &[CustomerConfig],
        customer: Option<usize>,
        now: Instant,
    ) -> Result<u64, BudgetSpent> {
        let Some((index, of)) = customer.and_then(|index| Some((index, customers.get(index)?)))
        else {
            return Ok(u64::MAX);
        };
        let Some(budget) = of.budget_wei else { return Ok(u64::MAX) };
        let spent = self.of(index, of.period, now).1;
        match budget.saturating_sub(spent) {
            0 => Err(BudgetSpent { name: of.name.clone(), spent, budget }),
            left => Ok(left),
        }
    }

    /// Notes what a job of `customer` came to.
    pub(crate) fn spend(
        &mut self,
        customers: &[CustomerConfig],
        customer: Option<usize>,
        wei: u64,
        now: Instant,
    ) {
        let Some(index) = customer else { return };
        let Some(of) = customers.get(index) else { return };
        let entry = self.of(index, of.period, now);
        entry.1 = entry.1.saturating_add(wei);
    }

    /// Returns the account of this period, which began with the first job in it.
    fn of(&mut self, index: usize, period: Duration, now: Instant) -> &mut (Instant, u64) {
        if self.spent.len() <= index {
            self.spent.resize(index + 1, None);
        }
        let account = &mut self.spent[index];
        if account.is_some_and(|(since, _)| now >= since + period) {
            *account = None;
        }
        account.get_or_insert((now, 0))
    }
}

#[cfg(test)]
#[test]
fn a_customer_is_who_has_the_key_and_spends_no_more_than_its_budget_in_a_period() {
    let day = Duration::from_secs(86_400);
    let customer = CustomerConfig {
        name: "acme".to_owned(),
        key_sha256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b".to_owned(),
        tier: "premium".to_owned(),
        budget_wei: Some(100),
        period: day,
    };
    let all = [customer];
    assert_eq!(find(&all, Some("secret")), Some(0));
    assert_eq!((find(&all, Some("Secret")), find(&all, None)), (None, None));
    assert_eq!(tiers(&all), ["", "premium"]);
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    assert_eq!(ledger.left(&all, Some(0), now), Ok(100));
    ledger.spend(&all, Some(0), 60, now);
    assert_eq!(ledger.left(&all, Some(0), now), Ok(40));
    ledger.spend(&all, Some(0), 60, now + day / 2);
    let error = ledger.left(&all, Some(0), now + day / 2).unwrap_err();
    assert_eq!(error.to_string(), "customer `acme` has spent 120 of 100 wei in this period");
    assert_eq!(ledger.left(&all, Some(0), now + day), Ok(100), "a new period");
    assert_eq!(ledger.left(&all, None, now), Ok(u64::MAX), "nobody's customer has no budget");
}
