//! `[gateway]`: the front door.

use std::net::{Ipv4Addr, SocketAddr};

use super::section::section;
use super::units::Time;

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
        /// Pipeline of a job that names none. Empty: such a job is refused.
        default_pipeline: String = String::new();
        /// Most that a lot (1,000,000 `lv2v-pixel-second`) may cost, in wei, unless a job says
        /// less.
        max_price_wei: u64 = PRICE_CAP_WEI;
        /// Plugin that selects orchestrators. Empty: the native rule.
        selection: String = "choose-orchestrator".to_owned();
        /// Hosts that URLs given by a client may name: `"media.example"`, `"*.example.org"` or
        /// `"*"`. Only a full name opens an address inside this network.
        allowed_hosts: Vec<String> = Vec::new();
        /// Time that live jobs have to end after a stop was asked for.
        drain: Time = Time::secs(25);
    }
}

section! {
    /// How the gateway learns what orchestrators offer.
    Discovery {
        /// Time between two questions to each orchestrator.
        interval: Time = Time::secs(5);
    }
}
