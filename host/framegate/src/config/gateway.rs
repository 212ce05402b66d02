//! `[gateway]`: the front door.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gateway::config::{
    BODY_BYTES_MAX, BUFFERED_BYTES_MAX, DISCOVERY_INTERVAL, DISCOVERY_MAX, DISCOVERY_WINDOW,
    FEEDBACK_INTERVAL, JOBS_MAX, JOBS_PER_CLIENT_MAX, KEPT, RECORDS_BYTES_MAX,
};
use serde::{Deserialize, Serialize};
use wire::trickle::SEGMENT_BYTES_MAX;

use super::fallback::OnFault;
use super::section::section;
use super::units::{Size, Time};

/// Port for applications, as go-livepeer ships it.
const HTTP_PORT: u16 = 9935;
/// Port of the admin side, as go-livepeer ships it.
const ADMIN_PORT: u16 = 5935;
/// Cap on a price unless configured, in wei a lot: twice the shipped price, so that its load
/// surcharge fits.
const PRICE_CAP_WEI: u64 = 2 * super::orchestrator::PRICE_WEI;

section! {
    /// The gateway: takes jobs from applications, prices, selects and relays them.
    Gateway {
        /// Address for applications. Port 0: any free one.
        http: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
        /// Address of the admin side.
        admin: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
        /// Host names by which the admin side is called, beside the loopback names.
        admin_hosts: Vec<String> = Vec::new();
        /// URLs of the orchestrators that may be given work, such as `"https://host:8935"`. With
        /// `framegate up` the own one is added.
        orchestrators: Vec<String> = Vec::new();
        /// Names, URLs and wallet addresses of orchestrators that get no work.
        blocklist: Vec<String> = Vec::new();
        /// Least version of the protocol that an orchestrator has to speak, such as `"0.8.0"`. Empty:
        /// any.
        min_version: String = String::new();
        /// PEM file of the authorities that `"verify"` trusts. Empty: those of the system.
        authorities: String = String::new();
        /// What URLs given to clients begin with, such as `"https://gateway.example"`. Empty:
        /// `http://` and the host that the client asked for.
        public_url: String = String::new();
        /// Pipeline of a job that names none. Empty: such a job is refused.
        default_pipeline: String = String::new();
        /// Most that a lot (1,000,000 `lv2v-pixel-second`) may cost, in wei, unless a job says
        /// less.
        max_price_wei: u64 = PRICE_CAP_WEI;
        /// The same for single pipelines, such as `{sketch-video=500, default=900}`;
        /// `default` is for those that are not named.
        max_price_wei_of: BTreeMap<String, u64> = BTreeMap::new();
        /// The most that customers of a tier pay, where that is less: `{budget=400}`.
        max_price_wei_of_tier: BTreeMap<String, u64> = BTreeMap::new();
        /// Plugin that selects orchestrators. Empty: the native rule.
        selection: String = "choose-orchestrator".to_owned();
        /// JSON document for that plugin. Empty: its defaults.
        selection_config: String = String::new();
        /// What happens to a job for which it faults: `"native"`, the native rule selects;
        /// `"refuse"`; or `"previous-version"`, the next key's plugin selects, and the native rule
        /// where that one faults too. One that faults 5 times in 10 s, or at one job in a hundred,
        /// is not asked any more until it does well again at jobs that do not wait for it.
        selection_on_fault: OnFault = OnFault::Native;
        /// Plugin for `"previous-version"`: its id, or its folder where that has a `/`.
        selection_previous: String = String::new();
        /// Hosts that URLs given by a client may name: `"media.example"`, `"*.example.org"` or
        /// `"*"`. Only a full name opens an address inside this network.
        allowed_hosts: Vec<String> = Vec::new();
        /// Time that live jobs have to end after a stop was asked for.
        drain: Time = Time::secs(25);
    }
}

/// How an orchestrator's certificate is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    /// Only the configured one.
    Pin,
    /// The first one seen.
    #[default]
    TrustOnFirstUse,
    /// What authorities vouch for.
    Verify,
    /// Anything.
    Insecure,
}

section! {
    /// An orchestrator that may be given work, by its name. Others stand in
    /// `gateway.orchestrators`.
    Listed {
        /// Its URL, such as `"https://host:8935"`.
        uri: String = String::new();
        /// How its certificate is judged: `"trust-on-first-use"`, the first one is remembered and
        /// another one refused; `"pin"`, only that of the next key; `"verify"`, what authorities vouch
        /// for; `"insecure"`, anything, so that whoever stands between may read along.
        tls: Tls = Tls::TrustOnFirstUse;
        /// SHA-256 of its certificate for `"pin"`, as its own log prints it: 64 hexadecimal digits.
        certificate: String = String::new();
    }
}

section! {
    /// A plugin that selects orchestrators for the jobs of one tier, or of one pipeline, by a name
    /// of your own. A job's tier comes before its pipeline, and that before `gateway.selection`.
    Selection {
        /// The tier of customers. Either this or `pipeline`.
        tier: String = String::new();
        /// The pipeline.
        pipeline: String = String::new();
        /// Plugin that selects.
        plugin: String = String::new();
        /// JSON document for it. Empty: its defaults.
        config: String = String::new();
        /// What happens to a job for which it faults, as for `gateway.selection_on_fault`.
        on_fault: OnFault = OnFault::Native;
        /// Plugin for `"previous-version"`: its id, or its folder where that has a `/`.
        previous: String = String::new();
    }
}

section! {
    /// A customer, by its name. A client names itself by `Authorization: Bearer` and its key; one
    /// that presents no key of these is nobody's customer.
    Customer {
        /// SHA-256 of its key, as `printf %s KEY | sha256sum` prints it.
        key_sha256: String = String::new();
        /// Its tier. Empty: none.
        tier: String = String::new();
        /// Wei that its jobs may come to in a period. 0: no limit.
        budget_wei: u64 = 0;
        /// The period.
        period: Time = Time::secs(86_400);
    }
}

section! {
    /// How the gateway learns what orchestrators offer.
    Discovery {
        /// Time between two questions to each orchestrator.
        interval: Time = millis(DISCOVERY_INTERVAL);
        /// Time that a job waits for answers when none are known.
        window: Time = millis(DISCOVERY_WINDOW);
        /// Time after which a question is given up.
        timeout: Time = millis(DISCOVERY_MAX);
        /// Time between two messages to each orchestrator of why it got work and why not, which its
        /// `framegate why` tells. `"0s"`: none is sent.
        feedback: Time = millis(FEEDBACK_INTERVAL);
        /// URL that names orchestrators: `[{"address": "https://host:8935", "score": 1.0}]`. Asked
        /// once a minute; while it fails, what it said last stands.
        webhook: String = String::new();
        /// File that names orchestrators, in the same form or with one URL on each line. Looked at
        /// every two seconds.
        file: String = String::new();
        /// URL of a gateway whose `/v1/offerings` names orchestrators. Asked once a minute.
        gateway: String = String::new();
        /// Most further orchestrators that are taken from the answers of each one that others named.
        /// Their hosts have to be its own, or stand in `gateway.allowed_hosts`.
        extra_nodes: usize = 0;
    }
}

section! {
    /// Limits at the front door.
    GatewayLimits {
        /// Jobs at once.
        jobs: usize = JOBS_MAX;
        /// Jobs at once of one client address.
        jobs_per_client: usize = JOBS_PER_CLIENT_MAX;
        /// Greatest body of a request that starts a job.
        body: Size = Size(BODY_BYTES_MAX as u64);
        /// Greatest segment. Segments are passed on as they come, never held whole.
        segment: Size = Size(SEGMENT_BYTES_MAX);
        /// Media held for one job, half for each direction.
        buffered: Size = Size(BUFFERED_BYTES_MAX as u64);
    }
}

section! {
    /// Job records on disk, in the role's folder.
    Records {
        /// Time for which they are kept.
        kept: Time = millis(KEPT);
        /// Greatest size of their file; the oldest go first.
        size: Size = Size(RECORDS_BYTES_MAX);
    }
}

/// Turns a time of the role into the file's; all of them are whole milliseconds.
const fn millis(time: Duration) -> Time {
    Time(time.as_millis() as u64)
}
