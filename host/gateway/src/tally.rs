//! Why orchestrators did not serve, counted: for each of them the jobs that it was a candidate for,
//! and the reasons with their distances.
//!
//! **Invariant:** bounded by the orchestrators that there may be, times the reasons that there are.

use std::collections::BTreeMap;

use domain::id::OrchestratorId;
use domain::select::{PassedOver, Reason};
use wire::feedback::{self, Counts};

use crate::book::ORCHESTRATORS_MAX;

/// What is counted of one reason.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    count: u64,
    /// Least and greatest distance of a price over its cap, in wei a lot.
    over: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Of {
    jobs: u64,
    served: u64,
    reasons: BTreeMap<&'static str, Counted>,
}

/// The counts of all orchestrators.
#[derive(Debug, Default)]
pub(crate) struct Whys {
    all: BTreeMap<OrchestratorId, Of>,
}

impl Whys {
    /// Counts one search: who serves, if anybody does, and why the others do not.
    pub(crate) fn count(&mut self, served: Option<&OrchestratorId>, others: &[PassedOver]) {
        if let Some(of) = served.and_then(|id| self.of(id)) {
            of.jobs += 1;
            of.served += 1;
        }
        for other in others {
            let Some(of) = self.of(&other.orchestrator) else { continue };
            of.jobs += 1;
            let counted = of.reasons.entry(other.reason.class()).or_default();
            counted.count += 1;
            if let Reason::PriceOverCap { price_wei: Some(price), cap_wei } = &other.reason {
                let over = price.saturating_sub(*cap_wei);
                let (min, max) = counted.over.unwrap_or((over, over));
                counted.over = Some((min.min(over), max.max(over)));
            }
        }
    }

    fn of(&mut self, id: &OrchestratorId) -> Option<&mut Of> {
        if !self.all.contains_key(id) {
            if self.all.len() >= ORCHESTRATORS_MAX {
                return None;
            }
            self.all.insert(id.clone(), Of::default());
        }
        self.all.get_mut(id)
    }

    /// Returns what is known of one: jobs, jobs served, and each reason with its count.
    pub(crate) fn counts(&self, id: &OrchestratorId) -> Counts {
        let Some(of) = self.all.get(id) else { return Counts::default() };
        let reason = |(class, counted): (&&'static str, &Counted)| {
            let wei_over = counted.over.map(|(min, max)| feedback::Distance {
                min: min.to_string(),
                max: max.to_string(),
            });
            ((*class).to_owned(), feedback::Counted { count: counted.count, wei_over })
        };
        let reasons = of.reasons.iter().map(reason).collect();
        Counts { jobs: of.jobs, served: of.served, reasons }
    }
}

#[cfg(test)]
#[test]
fn no_demand_not_eligible_and_failing_can_be_told_apart() {
    let id = |name: &str| OrchestratorId(name.to_owned());
    let mut whys = Whys::default();
    assert_eq!(whys.counts(&id("dear")), Counts::default(), "no demand");
    for cap_wei in [4, 2] {
        let over = Reason::PriceOverCap { price_wei: Some(9), cap_wei };
        let away = Reason::Unreachable { detail: "gone".to_owned() };
        let others = [
            PassedOver { orchestrator: id("dear"), reason: over },
            PassedOver { orchestrator: id("away"), reason: away },
        ];
        whys.count(Some(&id("good")), &others);
    }
    let dear = whys.counts(&id("dear"));
    assert_eq!((dear.jobs, dear.served), (2, 0));
    let distance = feedback::Distance { min: "5".to_owned(), max: "7".to_owned() };
    let over = feedback::Counted { count: 2, wei_over: Some(distance) };
    assert_eq!(dear.reasons["price-over-cap"], over);
    assert_eq!(whys.counts(&id("good")).served, 2);
    assert_eq!(whys.counts(&id("away")).reasons["unreachable"].count, 2);
}
