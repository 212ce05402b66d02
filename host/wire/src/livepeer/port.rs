//! The service `net.Orchestrator` as an orchestrator of ours answers it: its offers in our nouns
//! go in, the network's messages come out. It decides no price and no capacity.

use axum::Router;
use bytes::Bytes;
use domain::capability::LIVE;
use domain::price::{LIVE_LOT, UnitPrice};
use prost::Message;
use tonic::{Request, Response, Status};

use super::capability::{LIVE_VIDEO_TO_VIDEO, Model, asked_for, is_asked, offers};
use super::price::price_to_wire;
use crate::proto::orchestrator_server::{Orchestrator, OrchestratorServer};
use crate::proto::{
    AuthToken, Capabilities, EndTranscodingSessionRequest, EndTranscodingSessionResponse,
    GpuComputeInfo, HardwareInformation, OrchestratorInfo, OrchestratorRequest, PaymentResult,
    PingPong,
};

/// Version of the protocol's reference implementation whose behaviour is offered.
const PROTOCOL_VERSION: &str = "0.9.1";

/// What a gateway asks an orchestrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Ids of the live pipelines that it asks about; `None`: about everything.
    pub pipelines: Option<Vec<String>>,
    /// Whether it wants no answer unless a slot is free.
    pub wants_slot: bool,
}

impl Asked {
    fn of(capabilities: Option<&Capabilities>, ignore_capacity: bool) -> Self {
        let live = capabilities.is_some_and(|asked| is_asked(asked, LIVE_VIDEO_TO_VIDEO));
        Self { pipelines: capabilities.map(asked_for), wants_slot: live && !ignore_capacity }
    }
}

/// What an orchestrator offers.
#[derive(Debug, Clone)]
pub struct Offers {
    /// Address that gateways are to use.
    pub service_uri: String,
    /// Its live pipelines, with prices.
    pub models: Vec<Model>,
    /// Token that makes the prices binding.
    pub token: AuthToken,
    /// Its device; `None` while it has none.
    pub device: Option<OfferedDevice>,
}

/// The device behind offers.
#[derive(Debug, Clone)]
pub struct OfferedDevice {
    /// Its name, such as `cpu-0`.
    pub name: String,
    /// Name of the hardware.
    pub hardware: String,
    /// Free memory in bytes.
    pub memory_free: u64,
    /// All memory in bytes.
    pub memory_total: u64,
}

/// Every slot that could serve the request is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capped;

/// Answers for an orchestrator.
pub trait Port: Clone + Send + Sync + 'static {
    /// Says what is offered now.
    fn offers(&self, asked: &Asked) -> Result<Offers, Capped>;
}

/// Routes the service to `port`.
pub fn rpc<S: Clone + Send + Sync + 'static>(port: impl Port) -> Router<S> {
    Router::new().route_service("/net.Orchestrator/{*method}", OrchestratorServer::new(Rpc(port)))
}

/// Writes the answer to a payment: the renewed offers, if there are any. `asked`: the capabilities
/// in the payer's credentials.
pub fn payment_answer<P: Port>(port: &P, asked: Option<&Capabilities>) -> Bytes {
    // A slot that is taken meanwhile is no reason to refuse the renewal.
    let asked = Asked::of(asked, true);
    let info = port.offers(&asked).ok().map(|offers| message(offers, &asked));
    Bytes::from(PaymentResult { info }.encode_to_vec())
}

struct Rpc<P>(P);

#[tonic::async_trait]
impl<P: Port> Orchestrator for Rpc<P> {
    async fn get_orchestrator(
        &self,
        request: Request<OrchestratorRequest>,
    ) -> Result<Response<OrchestratorInfo>, Status> {
        let request = request.get_ref();
        let asked = Asked::of(request.capabilities.as_ref(), request.ignore_capacity_check);
        match self.0.offers(&asked) {
            Ok(offers) => Ok(Response::new(message(offers, &asked))),
            // The text that the network's gateways look for.
            Err(Capped) => Err(Status::unknown("OrchestratorCapped")),
        }
    }

    async fn ping(&self, request: Request<PingPong>) -> Result<Response<PingPong>, Status> {
        // Without a wallet there is nothing to sign with: the value comes back as it is.
        Ok(Response::new(request.into_inner()))
    }

    async fn end_transcoding_session(
        &self,
        _: Request<EndTranscodingSessionRequest>,
    ) -> Result<Response<EndTranscodingSessionResponse>, Status> {
        Err(Status::unimplemented("this orchestrator has no transcoding sessions"))
    }
}

fn message(offers_of: Offers, asked: &Asked) -> OrchestratorInfo {
    let Offers { service_uri, models, token, device } = offers_of;
    let everything = asked.pipelines.is_none();
    let wanted = |model: &&Model| {
        let id = model.capability.live_id().unwrap_or_default();
        asked.pipelines.as_ref().is_none_or(|names| names.iter().any(|name| name == id))
    };
    // The price of several models at once is their sum, as the protocol has it; of everything it
    // is the dearest, which no model exceeds.
    let general = if everything {
        models.iter().filter_map(|model| model.price).max_by_key(|price| price.wei)
    } else {
        sum(models.iter().filter(wanted))
    };
    let priced = |model: &Model| Some(price_to_wire(model.price?, Some(&model.capability)));
    let hardware = device.filter(|_| everything).map_or_else(Vec::new, |it| hardware(&it, &models));
    OrchestratorInfo {
        transcoder: service_uri,
        price_info: general.map(|price| price_to_wire(price, None)),
        capabilities: Some(offers(&models, PROTOCOL_VERSION)),
        auth_token: Some(token),
        hardware,
        capabilities_prices: models.iter().filter(wanted).filter_map(priced).collect(),
        ..OrchestratorInfo::default()
    }
}

fn sum<'a>(models: impl Iterator<Item = &'a Model>) -> Option<UnitPrice> {
    let mut sum: Option<u64> = None;
    for model in models {
        sum = Some(sum.unwrap_or(0).saturating_add(model.price?.wei));
    }
    UnitPrice::new(sum?, LIVE_LOT)
}

fn hardware(device: &OfferedDevice, models: &[Model]) -> Vec<HardwareInformation> {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let gpu = GpuComputeInfo {
        id: device.name.clone(),
        name: device.hardware.clone(),
        memory_free: signed(device.memory_free),
        memory_total: signed(device.memory_total),
        ..GpuComputeInfo::default()
    };
    let of = |model: &Model| HardwareInformation {
        pipeline: LIVE.to_owned(),
        model_id: model.capability.live_id().unwrap_or_default().to_owned(),
        gpu_info: [(device.name.clone(), gpu.clone())].into_iter().collect(),
    };
    models.iter().map(of).collect()
}
