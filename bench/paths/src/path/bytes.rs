//! What is done to every byte: masking (RFC 6455 §5.3) and checking text (§8.1).

use std::hint::black_box;

use stentor_proto::{MaskingKey, Utf8Validator, apply_mask};

use super::{Path, pair};

const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

pub(super) fn paths() -> impl Iterator<Item = Path> {
    let masks = [("mask, 125 B", 125), ("mask, 1 KiB", 1024), ("mask, 16 KiB", 16 * 1024)];
    let texts = [
        ("UTF-8, 125 B ASCII", "a line of chat as people write them, ", 125),
        ("UTF-8, 1 KiB non-ASCII", "Grüße aus Köln, 世界你好, привет мир 🌍 ", 1024),
        ("UTF-8, 16 KiB non-ASCII", "Grüße aus Köln, 世界你好, привет мир 🌍 ", 16 * 1024),
    ];
    let masks =
        masks.into_iter().flat_map(|(group, len)| pair(group, 1, move || copy(len), move || mask(len)));
    let texts = texts.into_iter().flat_map(|(group, piece, len)| {
        pair(group, 1, move || validate(text(piece, len)), move || validate_stepwise(text(piece, len)))
    });
    masks.chain(texts)
}

/// Moving as many bytes, which is what memory allows.
fn copy(len: usize) -> Box<dyn FnMut()> {
    let (from, mut to) = (vec![1; len], vec![0; len]);
    Box::new(move || {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    })
}

fn mask(len: usize) -> Box<dyn FnMut()> {
    let mut payload = vec![1; len];
    Box::new(move || apply_mask(KEY, black_box(&mut payload), 0))
}

fn text(piece: &str, len: usize) -> String {
    let mut text = String::new();
    for character in piece.chars().cycle() {
        if text.len() + character.len_utf8() > len {
            break;
        }
        text.push(character);
    }
    text.extend(std::iter::repeat_n('.', len - text.len()));
    text
}

/// The whole text at once.
fn validate(text: String) -> Box<dyn FnMut()> {
    Box::new(move || {
        simdutf8::basic::from_utf8(black_box(text.as_bytes())).expect("it is a string");
    })
}

/// In a way that could stop and go on anywhere.
fn validate_stepwise(text: String) -> Box<dyn FnMut()> {
    Box::new(move || {
        let mut validator = Utf8Validator::default();
        validator.feed(black_box(text.as_bytes())).expect("it is a string");
        assert!(validator.is_complete());
    })
}
