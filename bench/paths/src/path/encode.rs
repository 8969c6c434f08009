//! Messages become frames that are ready to be written.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};
use stentor_proto::{Config, Connection, Message, Utf8Bytes};

use super::{Path, pair};
use crate::scenario::Scenario;

pub(super) fn paths(scenario: &Scenario) -> [Path; 2] {
    let (for_yardstick, for_ours) = (*scenario, *scenario);
    pair(
        &format!("encode, {}", scenario.name),
        scenario.messages,
        move || yardstick(&for_yardstick),
        move || ours(&for_ours),
    )
}

/// Header and payload, one after another into one buffer.
fn yardstick(scenario: &Scenario) -> Box<dyn FnMut()> {
    let payloads: Vec<Vec<u8>> = scenario.payloads().collect();
    let text = scenario.text;
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        for payload in &payloads {
            out.push(0x82 - u8::from(text));
            let len = u16::try_from(payload.len()).expect("scenarios stay below 64 KiB");
            if len <= 125 {
                out.push(len.to_le_bytes()[0]);
            } else {
                out.push(126);
                out.extend_from_slice(&len.to_be_bytes());
            }
            out.extend_from_slice(payload);
        }
        black_box(&out);
    })
}

fn ours(scenario: &Scenario) -> Box<dyn FnMut()> {
    let text = scenario.text;
    let message = |payload: Vec<u8>| {
        let payload = Bytes::from(payload);
        if text {
            Message::Text(Utf8Bytes::try_from(payload).expect("the scenarios' text is UTF-8"))
        } else {
            Message::Binary(payload)
        }
    };
    let messages: Vec<Message> = scenario.payloads().map(message).collect();
    let mut connection = Connection::server(Arc::new(Config::default()), Instant::now());
    Box::new(move || {
        for message in &messages {
            connection.send(message.clone()).expect("an open connection with room");
        }
        while let Some(mut out) = connection.poll_transmit() {
            let len = black_box(out.chunk()).len();
            out.advance(len);
        }
    })
}
