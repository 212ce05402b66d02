//! `[advise]`: the side-car of stock nodes.

use std::net::{Ipv4Addr, SocketAddr};

use super::section::section;

/// Port of the webhooks: next to the gateway's.
const HTTP_PORT: u16 = 9936;
/// Port of the admin side: next to the gateway's.
const ADMIN_PORT: u16 = 5936;

section! {
    /// The side-car of stock nodes: answers their webhooks with what the policies of this file say.
    /// Orchestrators, caps and policy are those of `[gateway]`, price and rule of `[orchestrator]`.
    Advise {
        /// Address of `GET /orchestrators` and `POST /price`. Port 0: any free one.
        http: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
        /// Address of the admin side.
        admin: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
        /// Host names by which the admin side is called, beside the loopback names.
        admin_hosts: Vec<String> = Vec::new();
        /// URL of the orchestrator that asks for prices, such as `"https://127.0.0.1:8935"`: its
        /// load moves them. Empty: no load is known.
        node: String = String::new();
        /// Wallets of gateways that get no price, so that the orchestrator refuses them.
        refused: Vec<String> = Vec::new();
    }
}
