//! What a gateway reads out of an orchestrator's answer besides models, and what it presents to
//! start a job at the price quoted there.
//!
//! **Invariant:** a [`Quote`] carries the token and the prices of one and the same answer.

use domain::capability::Capability;
use domain::price::UnitPrice;
use http::{HeaderMap, HeaderValue};

use super::capability::{Model, asks, offered};
use super::credential::segment_header;
use super::price::unit_price;
use crate::client::ClientError;
use crate::header::{LIVEPEER_PAYMENT, LIVEPEER_SEGMENT};
use crate::proto::{AuthToken, OrchestratorInfo, OrchestratorRequest, SegData};

/// Error text of an orchestrator without a free slot, as the network has it.
const CAPPED: &str = "OrchestratorCapped";
const MIB: i64 = 1 << 20;
/// Name of the work that every orchestrator of the network takes.
pub const TRANSCODE: &str = "transcode";
/// Further orchestrators of one answer that are looked at: more than one operator has machines for.
pub const NODES_MAX: usize = 100;
/// Characters of a version that are kept.
const VERSION_CHARS_MAX: usize = 64;

/// The best device behind a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name, such as `NVIDIA H100 PCIe`.
    pub name: String,
    /// Free memory in MiB; 0: unknown.
    pub memory_free_mib: u32,
    /// All memory in MiB; 0: unknown.
    pub memory_total_mib: u32,
}

/// An orchestrator's answer as a gateway keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quote {
    /// Wallet address, `0x` and 40 hexadecimal characters in lower case; `None` off chain.
    pub wallet: Option<String>,
    /// The live models on offer, with their prices.
    pub models: Vec<Model>,
    /// The best device behind each model, in the same order.
    pub devices: Vec<Option<Device>>,
    /// What it asks of those who name no model; `None`: nothing that can be read.
    pub price: Option<UnitPrice>,
    /// What ties a start to these prices; `None`: the orchestrator does not do that.
    pub token: Option<AuthToken>,
    /// Version of the protocol's reference implementation whose behaviour it offers; empty: not said.
    pub version: String,
    /// Addresses of further orchestrators that it names, at most [`NODES_MAX`].
    pub nodes: Vec<String>,
}

/// Asks for everything: models, prices and hardware are told only to those who name no
/// capability.
pub fn ask_for_everything() -> OrchestratorRequest {
    OrchestratorRequest { ignore_capacity_check: true, ..OrchestratorRequest::default() }
}

impl Quote {
    /// Reads an answer; at most `models_max` models, by name. `None` if it says that the
    /// orchestrator does not work.
    pub fn of(info: &OrchestratorInfo, models_max: usize) -> Option<Self> {
        if info.transcoder.is_empty() {
            return None;
        }
        let mut models = offered(info);
        models.sort_by(|a, b| a.capability.cmp(&b.capability));
        models.truncate(models_max);
        let devices = models.iter().map(|model| device(info, &model.capability)).collect();
        let wallet = (info.address.len() == 20 && info.address.iter().any(|byte| *byte != 0))
            .then(|| format!("0x{}", crate::header::hex(&info.address)));
        let price = info.price_info.as_ref().and_then(unit_price);
        let version = info.capabilities.as_ref().map_or("", |it| &it.version);
        Some(Self {
            wallet,
            models,
            devices,
            price,
            token: info.auth_token.clone(),
            version: version.chars().take(VERSION_CHARS_MAX).collect(),
            nodes: info.nodes.iter().take(NODES_MAX).cloned().collect(),
        })
    }

    /// Adds the capability `transcode`, which stock orchestrators offer without a model, at the price
    /// for everything. They do not say how many slots they have: one counts as free until they say
    /// that they are full.
    pub fn with_transcoding(mut self) -> Self {
        if let Ok(capability) = Capability::new(TRANSCODE) {
            let price = self.price;
            self.models.push(Model { capability, warm: true, slots_free: 1, slots_used: 0, price });
        }
        self
    }
}

fn device(info: &OrchestratorInfo, capability: &Capability) -> Option<Device> {
    let id = capability.live_id()?;
    let of_model = info.hardware.iter().filter(|hardware| hardware.model_id == id);
    let best = of_model.flat_map(|hardware| hardware.gpu_info.values());
    let best = best.max_by_key(|device| (device.memory_total, &device.name))?;
    let mib = |bytes: i64| u32::try_from(bytes.max(0) / MIB).unwrap_or(u32::MAX);
    Some(Device {
        name: best.name.clone(),
        memory_free_mib: mib(best.memory_free),
        memory_total_mib: mib(best.memory_total),
    })
}

/// Returns the headers that start a job of `capability` at the price quoted with `token`, off
/// chain.
pub fn start_headers(token: Option<&AuthToken>, capability: &Capability) -> HeaderMap {
    let segment = SegData {
        auth_token: token.cloned(),
        capabilities: asks(capability),
        ..SegData::default()
    };
    let mut headers = HeaderMap::new();
    headers.insert(LIVEPEER_SEGMENT, segment_header(&segment));
    headers.insert(LIVEPEER_PAYMENT, HeaderValue::from_static(""));
    headers
}

/// Says whether a call failed because every slot of the orchestrator is taken.
pub fn is_capped(error: &ClientError) -> bool {
    matches!(error, ClientError::Call { message, .. } if message.contains(CAPPED))
}

#[cfg(test)]
#[test]
fn a_quote_has_the_token_the_models_and_their_best_device() {
    use super::capability::offers;
    use crate::proto::{GpuComputeInfo, HardwareInformation};
    let model = |id: &str| Model {
        capability: Capability::live(id).unwrap(),
        warm: true,
        slots_free: 1,
        slots_used: 0,
        price: None,
    };
    let gpu = |name: &str, total: i64| {
        let info = GpuComputeInfo { name: name.into(), memory_total: total, ..Default::default() };
        (name.to_owned(), info)
    };
    let info = OrchestratorInfo {
        transcoder: "https://a:8935".into(),
        address: vec![0xAB; 20],
        capabilities: Some(offers(&[model("b"), model("a"), model("c")], "0.9.1")),
        hardware: vec![HardwareInformation {
            model_id: "b".into(),
            gpu_info: [gpu("small", 1 << 30), gpu("big", 1 << 31)].into(),
            ..Default::default()
        }],
        nodes: vec!["https://b:8935".into()],
        auth_token: Some(AuthToken { session_id: "s".into(), ..Default::default() }),
        ..OrchestratorInfo::default()
    };
    let quote = Quote::of(&info, 2).unwrap();
    assert_eq!(quote.wallet.as_deref(), Some(&*format!("0x{}", "ab".repeat(20))));
    let ids: Vec<_> = quote.models.iter().filter_map(|m| m.capability.live_id()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(
        (quote.version.as_str(), &quote.nodes[..]),
        ("0.9.1", &["https://b:8935".to_owned()][..])
    );
    let big = Device { name: "big".into(), memory_free_mib: 0, memory_total_mib: 2048 };
    assert_eq!(quote.devices, [None, Some(big)]);
    let headers = start_headers(quote.token.as_ref(), &quote.models[0].capability);
    let segment = super::segment_in(&headers).unwrap();
    assert_eq!(segment.auth_token, quote.token);
    assert_eq!(super::payment_in(&headers), Ok(None));
    assert_eq!(Quote::of(&OrchestratorInfo::default(), 2), None);
}
