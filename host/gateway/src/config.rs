//! What a gateway is built from: plain values, checked by whoever made them but for the addresses
//! of orchestrators, which [`crate::Gateway::build`] reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use domain::breaker::OnFault;
use domain::capability::Capability;
use plugin::SelectionPolicy;
use wire::allow::AllowedHosts;
use wire::tls::Fingerprint;

pub use crate::archive::{KEPT, RECORDS_BYTES_MAX, RecordsConfig};
pub use crate::custom::Columns;
pub use crate::customers::CustomerConfig;
pub use crate::sources::SourcesConfig;

/// Time between two questions to each orchestrator unless configured: an offering's figures say
/// something about the present, and a thousand orchestrators cost 200 calls a second.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// Time that a job without a snapshot waits for answers before it looks whether anybody offers
/// what it needs; doubled at each look. The network's figure.
pub const DISCOVERY_WINDOW: Duration = Duration::from_millis(500);
/// Time after which a question is given up. The network's figure.
pub const DISCOVERY_MAX: Duration = Duration::from_secs(6);
/// Time between two messages to an orchestrator of what is counted of it, unless configured: its
/// operator looks at it by hand.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_secs(60);
/// One choice in so many is made twice: what it costs is lost among a thousand picks, and a policy
/// with a state of its own is found out within minutes.
pub const AUDIT_ONE_IN: u64 = 1024;
/// Jobs at once unless configured: with [`BUFFERED_BYTES_MAX`] each, 2 GiB at the worst.
pub const JOBS_MAX: usize = 256;
/// Jobs at once of one client address unless configured: a quarter of all, so that no one address
/// takes the gateway, and an application server still has room.
pub const JOBS_PER_CLIENT_MAX: usize = 64;
/// Bytes of a start unless configured: parameters with a workflow of some thousand nodes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of media held for one job unless configured, half for each direction: four seconds of
/// 8 Mb/s video.
pub const BUFFERED_BYTES_MAX: usize = 8 << 20;
/// Time for live jobs to send their tails after a stop was asked for, unless configured: as long
/// as an orchestrator drains, and its report.
pub const DRAIN_MAX: Duration = domain::job::REPORT_MAX;

/// How the connection to an orchestrator is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// TLS; the certificate seen first is trusted, another one is refused.
    #[default]
    FirstUse,
    /// TLS; only this certificate is taken.
    Pinned(Fingerprint),
    /// TLS; what the authorities of [`Config::authorities`] vouch for is taken.
    Verified,
    /// TLS; whatever is presented is taken.
    Unverified,
    /// None, which is allowed on loopback only.
    Cleartext,
}

/// An orchestrator that may be given work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrchestratorConfig {
    /// Its name; `None`: its wallet address, or else host and port.
    pub name: Option<String>,
    /// Its address, `https://host:8935`; `http://` with [`Security::Cleartext`].
    pub uri: String,
    /// How the connection is secured.
    pub security: Security,
}

impl OrchestratorConfig {
    /// Makes one without a name; the scheme of `uri` says how the connection is secured.
    pub fn at(uri: impl Into<String>) -> Self {
        let uri = uri.into();
        let cleartext = uri.starts_with("http://");
        let security = if cleartext { Security::Cleartext } else { Security::FirstUse };
        Self { name: None, uri, security }
    }
}

/// Name of the plugin slot of every job that no other is for.
pub const GENERAL_SLOT: &str = "selection/default";

/// Who selects orchestrators: for the customers of a tier before the capability that a job needs,
/// and for that before all the rest.
#[derive(Debug, Clone, Default)]
pub struct Selections {
    /// For every job that no other is for; `None`: the native rule.
    pub general: Option<SelectionConfig>,
    /// For jobs that need these capabilities.
    pub by_capability: BTreeMap<Capability, SelectionConfig>,
    /// For jobs of customers of these tiers.
    pub by_tier: BTreeMap<String, SelectionConfig>,
}

impl Selections {
    /// Returns who selects for jobs that need `capability`, whatever their tier.
    pub(crate) fn of_capability(&self, capability: &Capability) -> Option<&SelectionConfig> {
        self.by_capability.get(capability).or(self.general.as_ref())
    }

    /// Returns all of them, the general one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SelectionConfig> {
        self.general.iter().chain(self.by_capability.values()).chain(self.by_tier.values())
    }
}

/// The plugin that selects orchestrators.
#[derive(Clone)]
pub struct SelectionConfig {
    /// Name of its plugin slot, such as [`GENERAL_SLOT`].
    pub plugin_slot: &'static str,
    /// The loaded component.
    pub policy: SelectionPolicy,
    /// Its JSON document; empty if there is none.
    pub config: String,
    /// What happens when it faults.
    pub on_fault: OnFault,
    /// Chooses where the policy does not, if there is one; reads the same document.
    pub previous: Option<SelectionPolicy>,
    /// One choice in so many is made twice, to see whether the policy stands by it; at least 1.
    pub audit_one_in: u64,
}

impl SelectionConfig {
    /// Makes the configuration of `policy` as it ships: no document, the native rule on a fault.
    pub fn of(policy: SelectionPolicy) -> Self {
        Self {
            plugin_slot: GENERAL_SLOT,
            policy,
            config: String::new(),
            on_fault: OnFault::Native,
            previous: None,
            audit_one_in: AUDIT_ONE_IN,
        }
    }

    /// Returns the versions in the order in which they are asked.
    pub fn versions(&self) -> impl Iterator<Item = &SelectionPolicy> {
        std::iter::once(&self.policy).chain(&self.previous)
    }
}

impl std::fmt::Debug for SelectionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelectionConfig")
            .field("plugin_slot", &self.plugin_slot)
            .field("policy", self.policy.identity())
            .field("on_fault", &self.on_fault)
            .finish_non_exhaustive()
    }
}

/// The most that a lot may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Wei for one lot; `u64::MAX`: no cap.
    pub general_wei: u64,
    /// Wei for one lot of these capabilities, in place of the general cap.
    pub by_capability: BTreeMap<Capability, u64>,
    /// Wei for one lot of every capability that is not among them; `None`: the general cap.
    pub others_wei: Option<u64>,
    /// The most that customers of these tiers pay, where that is less.
    pub by_tier: BTreeMap<String, u64>,
}

impl Caps {
    /// Makes a cap for everything.
    pub const fn of(general_wei: u64) -> Self {
        let by_tier = BTreeMap::new();
        Self { general_wei, by_capability: BTreeMap::new(), others_wei: None, by_tier }
    }

    /// Returns the cap in wei for one lot of `capability`, for a customer of `tier` and a job that
    /// itself names `asked`.
    pub fn wei(&self, capability: &Capability, tier: &str, asked: Option<u64>) -> u64 {
        let own = self.by_capability.get(capability).copied().or(self.others_wei);
        let all = [own.or(Some(self.general_wei)), self.by_tier.get(tier).copied(), asked];
        all.into_iter().flatten().min().unwrap_or(self.general_wei)
    }
}

/// Limits at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Jobs at once.
    pub jobs_max: usize,
    /// Jobs at once of one client address; each has four channels.
    pub jobs_per_client_max: usize,
    /// Bytes of one segment; segments are not held whole.
    pub segment_bytes_max: u64,
    /// Bytes of a start.
    pub body_bytes_max: usize,
    /// Bytes of media held for one job.
    pub buffered_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs_max: JOBS_MAX,
            jobs_per_client_max: JOBS_PER_CLIENT_MAX,
            segment_bytes_max: wire::trickle::SEGMENT_BYTES_MAX,
            body_bytes_max: BODY_BYTES_MAX,
            buffered_bytes_max: BUFFERED_BYTES_MAX,
        }
    }
}

/// How orchestrators are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Time between two questions to each.
    pub interval: Duration,
    /// Time that a job without a snapshot waits before it first looks.
    pub window: Duration,
    /// Time after which a question is given up.
    pub hard_stop: Duration,
    /// Further orchestrators that are taken from the answers of each one that others named.
    pub extra_nodes: usize,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            interval: DISCOVERY_INTERVAL,
            window: DISCOVERY_WINDOW,
            hard_stop: DISCOVERY_MAX,
            extra_nodes: 0,
        }
    }
}

/// What a gateway is built from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The orchestrators that may be given work.
    pub orchestrators: Vec<OrchestratorConfig>,
    /// PEM file of the authorities that [`Security::Verified`] trusts; `None`: the system's.
    pub authorities: Option<PathBuf>,
    /// Least version of the protocol that an orchestrator has to speak; empty: any.
    pub min_version: String,
    /// Where others come from.
    pub sources: SourcesConfig,
    /// Names, addresses and wallets that get no work.
    pub blocklist: Vec<String>,
    /// How they are asked.
    pub discovery: DiscoveryConfig,
    /// Time between two messages to each of what is counted of it; `None`: it is told nothing.
    pub feedback: Option<Duration>,
    /// Whether what they ask for transcoding is looked at as well; nobody is given such work here.
    pub transcoding: bool,
    /// Columns of the operator's own.
    pub custom: Columns,
    /// The most that work may cost.
    pub caps: Caps,
    /// Customers that are known by a key.
    pub customers: Vec<CustomerConfig>,
    /// Pipeline of a job that names none; `None`: such a job is refused.
    pub default_pipeline: Option<String>,
    /// Who selects orchestrators.
    pub selections: Selections,
    /// Hosts that URLs given by clients and orchestrators may name.
    pub allowed_hosts: AllowedHosts,
    /// Folder of the role; `pins.json` and `jobs.sqlite` are kept there.
    pub data_dir: PathBuf,
    /// How long and how much is kept of jobs; `None`: nothing outlives the process.
    pub records: Option<RecordsConfig>,
    /// What URLs given to clients begin with; `None`: `http://` and the host that they asked for.
    pub public_url: Option<String>,
    /// Limits at the edge.
    pub limits: Limits,
    /// Time for live jobs to send their tails after a stop was asked for.
    pub drain: Duration,
}

impl Config {
    /// Makes the configuration of a gateway for `orchestrators` that keeps its state in
    /// `data_dir`; everything else is as it ships, without a cap on prices.
    pub fn new(orchestrators: Vec<OrchestratorConfig>, data_dir: PathBuf) -> Self {
        Self {
            orchestrators,
            authorities: None,
            min_version: String::new(),
            sources: SourcesConfig::default(),
            blocklist: Vec::new(),
            discovery: DiscoveryConfig::default(),
            feedback: Some(FEEDBACK_INTERVAL),
            transcoding: false,
            custom: Columns::default(),
            caps: Caps::of(u64::MAX),
            customers: Vec::new(),
            default_pipeline: None,
            selections: Selections::default(),
            allowed_hosts: AllowedHosts::default(),
            data_dir,
            records: Some(RecordsConfig::default()),
            public_url: None,
            limits: Limits::default(),
            drain: DRAIN_MAX,
        }
    }
}

#[cfg(test)]
#[test]
fn a_job_may_lower_a_cap_and_never_raise_it() {
    let sketch = Capability::live("sketch-video").unwrap();
    let other = Capability::live("other").unwrap();
    let caps = Caps {
        by_capability: BTreeMap::from([(sketch.clone(), 5)]),
        by_tier: BTreeMap::from([("budget".to_owned(), 4)]),
        ..Caps::of(9)
    };
    assert_eq!((caps.wei(&sketch, "", None), caps.wei(&other, "", None)), (5, 9));
    assert_eq!((caps.wei(&sketch, "", Some(3)), caps.wei(&sketch, "", Some(7))), (3, 5));
    assert_eq!(Caps::of(u64::MAX).wei(&other, "", Some(4)), 4);
    assert_eq!((caps.wei(&sketch, "budget", None), caps.wei(&sketch, "premium", None)), (4, 5));
    let caps = Caps { others_wei: Some(6), ..caps };
    assert_eq!(
        (caps.wei(&sketch, "", None), caps.wei(&other, "", None)),
        (5, 6),
        "the default rule"
    );
}
