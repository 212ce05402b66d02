//! Translation between Livepeer's spellings and the nouns of `domain`: capabilities, prices,
//! tokens, credentials and the documents of a live job. It decides no offering and no price.

mod capability;
mod credential;
mod job;
mod network;
mod port;
mod price;
mod quote;
mod token;
mod webhook;

pub use capability::{
    AUTH_TOKEN, Incompatible, LIVE_VIDEO_TO_VIDEO, Model, asked_for, asks, check_compatible,
    is_asked, offered, offers, version_reaches,
};
pub use credential::{
    CREDENTIAL_BYTES_MAX, CredentialError, payment_header, payment_in, segment_header, segment_in,
};
pub use job::{LiveAnswer, LiveStart, ParamsError, absolute};
pub use network::{Listed, NETWORK_PATH, network_listing};
pub use port::{Asked, Capped, OfferedDevice, Offers, Port, payment_answer, rpc};
pub use price::{price_for, price_to_wire, unit_price};
pub use quote::{
    Device, NODES_MAX, Quote, TRANSCODE, ask_for_everything, is_capped, start_headers,
};
pub use token::{TOKEN_TTL, TokenError, Tokens};
pub use webhook::{PriceAsked, Recommended, price_told};
