//! The listing that stock tools read, `GET /getNetworkCapabilities`: who offers what, in the
//! network's own spelling.

use serde_json::{Map, Value, json};

use super::capability::{LIVE_VIDEO_TO_VIDEO, Model};
use super::price::price_to_wire;
use super::quote::Device;

/// Where stock tools ask.
pub const NETWORK_PATH: &str = "/getNetworkCapabilities";

/// One orchestrator of the listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Wallet address; empty: none is known.
    pub wallet: String,
    /// Its URL.
    pub uri: String,
    /// What it offers, with the best device behind each.
    pub models: Vec<(Model, Option<Device>)>,
}

/// Writes the listing.
pub fn network_listing(orchestrators: &[Listed]) -> Value {
    let all: Vec<Value> = orchestrators.iter().map(orchestrator).collect();
    json!({
        "capabilities_names": { LIVE_VIDEO_TO_VIDEO.to_string(): "Live video to video" },
        "orchestrators": all,
    })
}

fn orchestrator(listed: &Listed) -> Value {
    let id = |model: &Model| model.capability.live_id().unwrap_or_default().to_owned();
    let models: Map<String, Value> = listed
        .models
        .iter()
        .map(|(model, _)| {
            let form = json!({
                "warm": model.warm,
                "capacity": model.slots_free,
                "capacityInUse": model.slots_used,
            });
            (id(model), form)
        })
        .collect();
    let prices: Vec<Value> = listed
        .models
        .iter()
        .filter_map(|(model, _)| {
            let price = price_to_wire(model.price?, Some(&model.capability));
            Some(json!({
                "pricePerUnit": price.price_per_unit,
                "pixelsPerUnit": price.pixels_per_unit,
                "capability": price.capability,
                "constraint": price.constraint,
            }))
        })
        .collect();
    let hardware: Vec<Value> = listed
        .models
        .iter()
        .filter_map(|(model, device)| {
            let device = device.as_ref()?;
            Some(json!({
                "pipeline": "live-video-to-video",
                "model_id": id(model),
                "gpu_info": { "0": {
                    "name": device.name,
                    "memory_free": u64::from(device.memory_free_mib) << 20,
                    "memory_total": u64::from(device.memory_total_mib) << 20,
                }},
            }))
        })
        .collect();
    let per_capability = json!({ LIVE_VIDEO_TO_VIDEO.to_string(): { "models": models } });
    json!({
        "address": listed.wallet,
        "local_address": listed.wallet,
        "orch_uri": listed.uri,
        "capabilities": { "constraints": { "PerCapability": per_capability } },
        "price_info": prices.first(),
        "capabilities_prices": prices,
        "hardware": hardware,
    })
}

#[cfg(test)]
#[test]
fn the_listing_has_the_networks_own_spelling() {
    use domain::capability::Capability;
    use domain::price::UnitPrice;

    let model = Model {
        capability: Capability::live("sketch-video").unwrap(),
        warm: true,
        slots_free: 3,
        slots_used: 1,
        price: UnitPrice::new(1000, 1_000_000),
    };
    let device = Device { name: "cpu".to_owned(), memory_free_mib: 1, memory_total_mib: 2 };
    let listed = Listed {
        wallet: "0xab".to_owned(),
        uri: "https://a:8935".to_owned(),
        models: vec![(model, Some(device))],
    };
    let listing = network_listing(&[listed]);
    assert_eq!(listing["capabilities_names"]["35"], "Live video to video");
    let one = &listing["orchestrators"][0];
    assert_eq!((&one["orch_uri"], &one["address"]), (&json!("https://a:8935"), &json!("0xab")));
    let models = &one["capabilities"]["constraints"]["PerCapability"]["35"]["models"];
    assert_eq!(models["sketch-video"]["capacityInUse"], 1);
    assert_eq!(one["capabilities_prices"][0]["pricePerUnit"], 1000);
    assert_eq!(one["hardware"][0]["gpu_info"]["0"]["memory_total"], 2 << 20);
}
