//! Any bytes as each of the messages that peers send: headers, protobuf and JSON.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use wire::header::{self, LIVEPEER_PAYMENT, LIVEPEER_SEGMENT};
use wire::livepeer::{
    LiveAnswer, LiveStart, Quote, absolute, asked_for, check_compatible, is_asked, offered,
    payment_in, price_for, segment_in,
};
use wire::proto::{Capabilities, OrchestratorInfo};
use wire::trickle::{Ask, Missing};

fuzz_target!(|bytes: &[u8]| {
    headers(bytes);
    protobuf(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts(text);
    }
});

fn headers(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let names = [LIVEPEER_SEGMENT, LIVEPEER_PAYMENT];
    let headers = names.into_iter().map(|name| (name, value.clone())).collect();
    if let Ok(segment) = segment_in(&headers)
        && let Some(asked) = segment.capabilities
    {
        asked_for(&asked);
    }
    let _ = payment_in(&headers);
    let _ = header::id_in(&headers, &LIVEPEER_SEGMENT);
}

fn protobuf(bytes: &[u8]) {
    if let Ok(info) = OrchestratorInfo::decode(bytes) {
        for model in offered(&info) {
            price_for(&info, &model.capability);
        }
        if let Some(quote) = Quote::of(&info, 8) {
            assert!(quote.models.len() <= 8 && quote.devices.len() == quote.models.len());
        }
    }
    if let Ok(asked) = Capabilities::decode(bytes) {
        asked_for(&asked);
        is_asked(&asked, 35);
        let _ = check_compatible(&asked, &asked);
    }
}

fn texts(text: &str) {
    if let Some(ask) = Ask::parse(text) {
        assert_eq!(Ask::parse(&ask.to_string()), Some(ask));
    }
    if let Some(missing) = Missing::parse(text) {
        assert_eq!(Missing::parse(&missing.to_string()), Some(missing));
    }
    let peer = "https://127.0.0.1:8935/".parse().expect("a URL");
    if let Some(url) = absolute(&peer, text) {
        assert!(matches!(url.scheme(), "http" | "https"));
    }
    if let Ok(start) = serde_json::from_str::<LiveStart>(text)
        && let Ok(Some(params)) = start.params_json()
    {
        let params: serde_json::Value = serde_json::from_str(&params).expect("`params` is JSON");
        assert!(params.is_object());
    }
    let _ = serde_json::from_str::<LiveAnswer>(text);
    let _ = serde_json::from_str::<wire::ended::Ended>(text);
}
