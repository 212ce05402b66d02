//! The two webhooks that stock nodes call: a gateway asks who may be given work, an orchestrator asks
//! what a gateway is to pay. Forms only.
//!
//! **Invariant:** a score of 1 or more is what stock gateways take for trusted; they never ask one with
//! a score between 0 and 1 to transcode.

use domain::price::UnitPrice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::price::price_to_wire;

/// One orchestrator that a stock gateway is told of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommended {
    /// Its URL.
    pub address: String,
    /// At least 1: it is trusted. More is better.
    pub score: f64,
}

/// What a stock orchestrator asks a price for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PriceAsked {
    /// The gateway's wallet: `0x` and 40 hexadecimal digits; zeros off chain.
    pub id: String,
}

/// Writes the price that a stock orchestrator is told.
pub fn price_told(price: UnitPrice) -> Value {
    let price = price_to_wire(price, None);
    json!({ "priceInfo": {
        "pricePerUnit": price.price_per_unit,
        "pixelsPerUnit": price.pixels_per_unit,
    }})
}

#[cfg(test)]
#[test]
fn the_forms_are_those_that_stock_nodes_read() {
    let listed = [Recommended { address: "https://a:8935".to_owned(), score: 1.5 }];
    let text = serde_json::to_string(&listed).unwrap();
    assert_eq!(text, r#"[{"address":"https://a:8935","score":1.5}]"#);
    let asked: PriceAsked = serde_json::from_str(r#"{"id":"0xab"}"#).unwrap();
    assert_eq!(asked.id, "0xab");
    let told = price_told(UnitPrice::new(1200, 1_000_000).unwrap()).to_string();
    assert_eq!(told, r#"{"priceInfo":{"pixelsPerUnit":1000000,"pricePerUnit":1200}}"#);
}
