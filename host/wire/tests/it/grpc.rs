//! gRPC beside HTTP on one TLS port.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use domain::capability::Capability;
use domain::price::UnitPrice;
use http::{Request, Uri};
use tonic::{Response, Status};
use wire::client::ClientError;
use wire::livepeer::{Model, Tokens, asked_for, asks, offered, offers, price_to_wire};
use wire::proto::orchestrator_server::{Orchestrator, OrchestratorServer};
use wire::proto::{
    EndTranscodingSessionRequest, EndTranscodingSessionResponse, OrchestratorInfo,
    OrchestratorRequest, PingPong,
};
use wire::serve::App;
use wire::tls::Identity;

use crate::rig::{Server, client};

struct One {
    models: Vec<Model>,
    tokens: Tokens,
}

#[tonic::async_trait]
impl Orchestrator for One {
    async fn get_orchestrator(
        &self,
        request: tonic::Request<OrchestratorRequest>,
    ) -> Result<Response<OrchestratorInfo>, Status> {
        let asked = request.into_inner().capabilities.unwrap_or_default();
        if asked_for(&asked) != ["sketch-video"] {
            return Err(Status::resource_exhausted("OrchestratorCapped"));
        }
        let price = self.models[0].price.unwrap();
        Ok(Response::new(OrchestratorInfo {
            transcoder: "https://orch:8935".to_owned(),
            price_info: Some(price_to_wire(price, None)),
            capabilities: Some(offers(&self.models, "0.0.0")),
            auth_token: Some(self.tokens.issue(0)),
            ..OrchestratorInfo::default()
        }))
    }

    async fn end_transcoding_session(
        &self,
        _: tonic::Request<EndTranscodingSessionRequest>,
    ) -> Result<Response<EndTranscodingSessionResponse>, Status> {
        Ok(Response::new(EndTranscodingSessionResponse {}))
    }

    async fn ping(&self, ping: tonic::Request<PingPong>) -> Result<Response<PingPong>, Status> {
        Ok(Response::new(ping.into_inner()))
    }
}

#[tokio::test]
async fn grpc_and_http_share_a_tls_port() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_make(folder.path(), "localhost").unwrap();
    let models = vec![Model {
        capability: Capability::live("sketch-video").unwrap(),
        warm: true,
        slots_free: 1,
        slots_used: 0,
        price: UnitPrice::new(3, 1_000_000),
    }];
    let service = OrchestratorServer::new(One { models: models.clone(), tokens: Tokens::new() });
    let router = Router::new()
        .route_service("/net.Orchestrator/{method}", service)
        .route("/hello", get(|| async { "hello" }));
    let server = Server::start(App::new(router), Some(identity.server_config().unwrap())).await;
    let origin: Uri = format!("https://{}", server.address).parse().unwrap();

    let client = client();
    let ask = |id: &str| OrchestratorRequest {
        capabilities: asks(&Capability::live(id).unwrap()),
        ..OrchestratorRequest::default()
    };
    let measured = client.get_orchestrator(origin.clone(), ask("sketch-video")).await.unwrap();
    assert_eq!(measured.info.transcoder, "https://orch:8935");
    assert_eq!(offered(&measured.info), models);
    assert!(measured.round_trip.as_nanos() > 0);
    let error = client.get_orchestrator(origin.clone(), ask("other")).await.unwrap_err();
    assert!(matches!(&error, ClientError::Call { message, .. } if message == "OrchestratorCapped"));
    assert_eq!(error.class(), domain::Class::Exhausted);
    let mut orchestrator = client.orchestrator(origin);
    let pong = orchestrator.ping(PingPong { value: b"x".to_vec() }).await.unwrap();
    assert_eq!(pong.into_inner().value, b"x");

    let request = Request::get(format!("https://{}/hello", server.address));
    let answer = client.exchange(request.body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!((answer.version(), &answer.body()[..]), (http::Version::HTTP_11, &b"hello"[..]));
}

#[tokio::test]
async fn an_unreachable_orchestrator_is_told_as_such() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin: Uri = format!("https://{free}").parse().unwrap();
    let error =
        client().get_orchestrator(origin, OrchestratorRequest::default()).await.unwrap_err();
    assert_eq!(error.class(), domain::Class::Unavailable, "{error:?}");
    assert!(domain::chain(&error).contains("refused"), "{}", domain::chain(&error));
}
