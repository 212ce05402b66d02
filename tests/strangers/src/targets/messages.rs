//! Any bytes as each of the messages that peers send: headers, protobuf and JSON.

use domain::capability::Capability;
use http::{HeaderMap, HeaderValue};
use prost::Message as _;
use wire::header::{self, LIVEPEER_PAYMENT, LIVEPEER_SEGMENT};
use wire::livepeer::{
    LIVE_VIDEO_TO_VIDEO, LiveAnswer, LiveStart, Model, Quote, absolute, asked_for, asks,
    check_compatible, is_asked, offered, offers, payment_in, price_for, segment_in, start_headers,
};
use wire::proto::{
    AuthToken, Capabilities, GpuComputeInfo, HardwareInformation, OrchestratorInfo, Payment,
    PriceInfo,
};
use wire::trickle::{Ask, Missing};

use crate::Target;

/// Messages of the network.
pub const TARGET: Target = Target { name: "messages", feed, seeds };

/// Models of a quote that are kept.
const MODELS_MAX: usize = 8;

fn feed(bytes: &[u8]) {
    headers(bytes);
    protobuf(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts(text);
    }
}

fn headers(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let names = [LIVEPEER_SEGMENT, LIVEPEER_PAYMENT];
    let headers: HeaderMap = names.into_iter().map(|name| (name, value.clone())).collect();
    if let Ok(segment) = segment_in(&headers)
        && let Some(asked) = segment.capabilities
    {
        asked_for(&asked);
    }
    let _ = payment_in(&headers);
    if let Some(id) = header::id_in(&headers, &LIVEPEER_SEGMENT) {
        assert!(header::is_id(id), "{id}");
    }
}

fn protobuf(bytes: &[u8]) {
    if let Ok(info) = OrchestratorInfo::decode(bytes) {
        for model in offered(&info) {
            let price = price_for(&info, &model.capability);
            assert_eq!(price, model.price, "one answer has one price for `{}`", model.capability);
        }
        if let Some(quote) = Quote::of(&info, MODELS_MAX) {
            assert!(quote.models.len() <= MODELS_MAX, "{} models", quote.models.len());
            assert_eq!(quote.devices.len(), quote.models.len(), "a device for each model");
        }
    }
    if let Ok(asked) = Capabilities::decode(bytes) {
        asked_for(&asked);
        is_asked(&asked, LIVE_VIDEO_TO_VIDEO);
        let _ = check_compatible(&asked, &asked);
    }
}

fn texts(text: &str) {
    if let Some(ask) = Ask::parse(text) {
        assert_eq!(Ask::parse(&ask.to_string()), Some(ask), "{text}");
    }
    if let Some(missing) = Missing::parse(text) {
        assert_eq!(Missing::parse(&missing.to_string()), Some(missing), "{text}");
    }
    let peer = "https://127.0.0.1:8935/".parse().expect("a URL");
    if let Some(url) = absolute(&peer, text) {
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    }
    if let Ok(start) = serde_json::from_str::<LiveStart>(text)
        && let Ok(Some(params)) = start.params_json()
    {
        let params: serde_json::Value = serde_json::from_str(&params).expect("`params` is JSON");
        assert!(params.is_object(), "{params}");
    }
    let _ = serde_json::from_str::<LiveAnswer>(text);
    let _ = wire::ended::Ended::of_event(text.as_bytes());
}

/// Makes an answer with everything in it that a gateway reads.
fn orchestrator(models: &[Model]) -> OrchestratorInfo {
    let price = |capability, constraint: &str, per_unit| PriceInfo {
        price_per_unit: per_unit,
        pixels_per_unit: 1_000_000,
        capability,
        constraint: constraint.to_owned(),
    };
    let device = GpuComputeInfo {
        name: "a device".to_owned(),
        memory_free: 8 << 30,
        memory_total: 16 << 30,
        ..GpuComputeInfo::default()
    };
    OrchestratorInfo {
        transcoder: "https://127.0.0.1:8935".to_owned(),
        address: vec![0xab; 20],
        price_info: Some(price(0, "", 1)),
        capabilities: Some(offers(models, "0.9.1")),
        capabilities_prices: vec![price(LIVE_VIDEO_TO_VIDEO, "sketch-video", 25)],
        auth_token: Some(token()),
        hardware: vec![HardwareInformation {
            pipeline: "live-video-to-video".to_owned(),
            model_id: "sketch-video".to_owned(),
            gpu_info: [("0".to_owned(), device)].into(),
        }],
        ..OrchestratorInfo::default()
    }
}

fn token() -> AuthToken {
    AuthToken { token: vec![7; 32], session_id: "0a1b2c3d".to_owned(), expiration: 1_800_000_000 }
}

fn seeds() -> Vec<Vec<u8>> {
    let live = |id: &str| Capability::live(id).expect("a capability");
    let model = |id: &str| Model {
        capability: live(id),
        warm: true,
        slots_free: 2,
        slots_used: 1,
        price: None,
    };
    let models = [model("sketch-video"), model("noop")];
    let mut found = vec![
        orchestrator(&models).encode_to_vec(),
        offers(&models, "v0.10.0-rc.1").encode_to_vec(),
        asks(&live("sketch-video")).expect("a live capability").encode_to_vec(),
    ];
    let segment = start_headers(Some(&token()), &live("sketch-video"));
    found.push(segment[LIVEPEER_SEGMENT].as_bytes().to_vec());
    let payment = Payment { sender: vec![1; 20], ..Payment::default() };
    found.push(wire::livepeer::payment_header(&payment).as_bytes().to_vec());
    let texts = [
        "17",
        "-1",
        "3-9",
        "/ai/trickle/a?b=c",
        "https://user@[::1]:1/x/../y#z",
        r#"{"model_id":"sketch-video","params":{"b":1,"a":[2.5,null]},"stream_id":null,
            "gateway_request_id":"r-1","subscribe_url":"http://a/in","publish_url":"http://a/out"}"#,
        r#"{"params":"{\"a\":\"\\u0041\"}","control_url":"","events_url":""}"#,
        r#"{"manifest_id":"m","publish_url":"p","subscribe_url":"s","job":"job-7"}"#,
        r#"{"type":"ended","reason":"eos","frames":{"in":3,"out":2,"dropped":1},"price":
            {"wei":"25","per_units":1000000,"unit":"pixel"},"amount_wei":"9","warnings":["x"],
            "error":{"class":"fault","message":"m","fault":{"kind":"trap","plugin":"p",
            "version":"1.0.0","call":"on-frame"}}}"#,
    ];
    found.extend(texts.map(|text| text.as_bytes().to_vec()));
    found
}
