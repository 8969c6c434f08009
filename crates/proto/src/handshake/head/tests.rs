use super::*;

const LIMITS: HandshakeLimits = HandshakeLimits {
    max_request_line: 16,
    max_header_line: 8,
    max_headers: 3,
    max_head_size: 48,
    timeout: std::time::Duration::from_secs(10),
    authorize_timeout: std::time::Duration::from_secs(10),
};

type Outcome = Result<Option<(Vec<u8>, Vec<(String, Vec<u8>)>, Vec<u8>)>, HeadError>;

fn outcome(read: Result<Option<Head>, HeadError>, rest: &BytesMut) -> Outcome {
    read.map(|head| {
        head.map(|Head { start_line, headers }| {
            let headers = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            (start_line.to_vec(), headers.collect(), rest.to_vec())
        })
    })
}

/// Reads the input in one piece and byte by byte, in which the outcome must not differ.
fn read(limits: HandshakeLimits, input: &[u8]) -> Outcome {
    let mut bytes = BytesMut::from(input);
    let whole = outcome(HeadReader::new(limits, true).read(&mut bytes), &bytes);

    let mut reader = HeadReader::new(limits, true);
    let mut bytes = BytesMut::new();
    let mut piecewise = Ok(None);
    for (index, byte) in input.iter().enumerate() {
        bytes.extend_from_slice(&[*byte]);
        let read = reader.read(&mut bytes);
        if !matches!(read, Ok(None)) {
            bytes.extend_from_slice(&input[index + 1..]);
            piecewise = outcome(read, &bytes);
            break;
        }
    }
    assert_eq!(whole, piecewise, "{}", input.escape_ascii());
    whole
}

fn error(input: &[u8]) -> HeadError {
    read(LIMITS, input).expect_err("an error")
}

#[test]
fn a_head_ends_at_the_empty_line_and_the_rest_stays() {
    assert_eq!(
        read(LIMITS, b"GET / HTTP/1.1\r\nA: b\r\nC:\t d \r\n\r\n\x81\x80rest"),
        Ok(Some((
            b"GET / HTTP/1.1".to_vec(),
            vec![("a".to_owned(), b"b".to_vec()), ("c".to_owned(), b"d".to_vec())],
            b"\x81\x80rest".to_vec(),
        )))
    );
}

#[test]
fn a_head_without_headers_is_one() {
    assert_eq!(read(LIMITS, b"X\r\n\r\n"), Ok(Some((b"X".to_vec(), vec![], vec![]))));
}

#[test]
fn a_value_may_be_empty_and_hold_bytes_outside_ascii() {
    let Ok(Some((_, headers, _))) = read(LIMITS, b"X\r\nA:\r\nB: \xe9\r\n\r\n") else { panic!() };
    assert_eq!(headers, [("a".to_owned(), vec![]), ("b".to_owned(), vec![0xe9])]);
}

#[test]
fn an_unfinished_head_takes_nothing() {
    for input in [&b""[..], b"GET", b"GET / HTTP/1.1\r\nA: b\r\n", b"GET / HTTP/1.1\r\nA: b\r\n\r"] {
        let mut bytes = BytesMut::from(input);
        assert!(matches!(HeadReader::new(LIMITS, true).read(&mut bytes), Ok(None)));
        assert_eq!(bytes, input);
    }
}

#[test]
fn one_empty_line_may_come_first_where_that_is_allowed() {
    assert_eq!(read(LIMITS, b"\r\nX\r\n\r\n!"), Ok(Some((b"X".to_vec(), vec![], b"!".to_vec()))));
    assert_eq!(error(b"\r\n\r\nX\r\n\r\n"), HeadError::MissingStartLine);

    let mut bytes = BytesMut::from(&b"\r\nX\r\n\r\n"[..]);
    let strict = HeadReader::new(LIMITS, false).read(&mut bytes);
    assert_eq!(strict.unwrap_err(), HeadError::MissingStartLine);
}

#[test]
fn line_ends_are_cr_and_lf_together() {
    assert_eq!(error(b"X\n"), HeadError::BareLineFeed);
    assert_eq!(error(b"\n"), HeadError::BareLineFeed);
    assert_eq!(error(b"X\r\nA: b\n"), HeadError::BareLineFeed);
    assert_eq!(error(b"X\rA: b"), HeadError::BareCarriageReturn);
    assert_eq!(error(b"X\r\nA: b\r\r\n"), HeadError::BareCarriageReturn);
    assert_eq!(error(b"X\r\nA: b\r\n\rX"), HeadError::BareCarriageReturn);
}

#[test]
fn control_characters_are_refused_where_they_stand() {
    for byte in (0..=31).chain([127]).filter(|byte| !b"\t\r\n".contains(byte)) {
        for before in [&b""[..], b"X", b"X\r\n", b"X\r\nA", b"X\r\nA:", b"X\r\nA: b"] {
            assert_eq!(error(&[before, &[byte]].concat()), HeadError::ControlCharacter(byte));
        }
    }
}

#[test]
fn folded_lines_are_refused() {
    assert_eq!(error(b"X\r\n A: b\r\n\r\n"), HeadError::FoldedHeader);
    assert_eq!(error(b"X\r\nA: b\r\n\tc\r\n\r\n"), HeadError::FoldedHeader);
    assert_eq!(error(b"X\r\nA: b\r\n \r\n\r\n"), HeadError::FoldedHeader);
}

#[test]
fn a_header_has_a_token_and_a_colon() {
    for line in ["A", ":", ": b", "A : b", "A\t: b", "A b: c", "A(b: c", "\u{e9}: b"] {
        let input = format!("X\r\n{line}\r\n\r\n");
        assert_eq!(error(input.as_bytes()), HeadError::InvalidHeaderName, "{line}");
    }
}

#[test]
fn each_limit_is_met_to_the_byte() {
    for (fits, exceeds, expected) in [
        ("1234567890123456\r\n\r\n", "12345678901234567", HeadError::StartLineTooLong),
        ("X\r\nA: 45678\r\n\r\n", "X\r\nA: 456789", HeadError::HeaderLineTooLong),
        ("X\r\nA:\r\nB:\r\nC:\r\n\r\n", "X\r\nA:\r\nB:\r\nC:\r\nD", HeadError::TooManyHeaders),
    ] {
        assert!(matches!(read(LIMITS, fits.as_bytes()), Ok(Some(_))), "{fits:?}");
        assert_eq!(error(exceeds.as_bytes()), expected);
    }
    // 16 + 2, three times 8 + 2 and 2 for the end are 50; two bytes less are 48.
    let head = |first: &str| format!("{first}\r\nA: 45678\r\nB: 45678\r\nC: 45678\r\n\r\n");
    assert!(matches!(read(LIMITS, head("12345678901234").as_bytes()), Ok(Some(_))));
    assert_eq!(error(head("123456789012345").as_bytes()), HeadError::HeadTooLarge);
}

#[test]
fn several_heads_share_the_limits() {
    let mut reader = HeadReader::new(LIMITS, false);
    let mut bytes = BytesMut::from(&b"X\r\nA:\r\nB:\r\n\r\nY\r\nC:\r\n\r\nZ\r\nD:\r\n\r\n"[..]);
    assert_eq!(reader.read(&mut bytes).unwrap().unwrap().start_line, "X");
    let second = reader.read(&mut bytes).unwrap().unwrap();
    assert_eq!((&second.start_line[..], second.headers.len()), (&b"Y"[..], 1));
    assert_eq!(reader.read(&mut bytes).unwrap_err(), HeadError::TooManyHeaders);

    let mut reader = HeadReader::new(LIMITS, false);
    let mut bytes = BytesMut::from(&b"X\r\n\r\n".repeat(10)[..]);
    for _ in 0..9 {
        assert!(matches!(reader.read(&mut bytes), Ok(Some(_))));
    }
    assert_eq!(reader.read(&mut bytes).unwrap_err(), HeadError::HeadTooLarge, "5 bytes each, 48 in all");
}

#[test]
fn more_headers_than_a_map_can_hold_are_too_many() {
    let unlimited = HandshakeLimits { max_headers: usize::MAX, max_head_size: usize::MAX, ..LIMITS };
    let head = ["X\r\n", &"A:\r\n".repeat(40_000), "\r\n"].concat();
    assert_eq!(
        HeadReader::new(unlimited, false).read(&mut BytesMut::from(&head[..])).unwrap_err(),
        HeadError::TooManyHeaders
    );
}

#[test]
fn a_longer_name_than_a_map_can_hold_is_invalid() {
    let unlimited = HandshakeLimits { max_header_line: usize::MAX, max_head_size: usize::MAX, ..LIMITS };
    let head = ["X\r\n", &"a".repeat(70_000), ": b\r\n\r\n"].concat();
    assert_eq!(
        HeadReader::new(unlimited, false).read(&mut BytesMut::from(&head[..])).unwrap_err(),
        HeadError::InvalidHeaderName
    );
}

#[test]
fn a_megabyte_byte_by_byte_is_looked_at_once() {
    let limits = HandshakeLimits {
        max_request_line: usize::MAX,
        max_header_line: usize::MAX,
        max_headers: 10_000,
        max_head_size: usize::MAX,
        ..LIMITS
    };
    let mut head = b"X\r\n".to_vec();
    while head.len() < 1 << 20 {
        head.extend_from_slice(b"Name: a value of some length, so that there are 10,000 of them at most ");
        head.extend_from_slice(&[b'x'; 64]);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");

    let mut reader = HeadReader::new(limits, false);
    let mut bytes = BytesMut::with_capacity(head.len());
    let (last, front) = head.split_last().unwrap();
    for byte in front {
        bytes.extend_from_slice(&[*byte]);
        assert!(matches!(reader.read(&mut bytes), Ok(None)));
    }
    assert_eq!(reader.total, front.len(), "one step for every byte, however often the head was read on");
    bytes.extend_from_slice(&[*last]);
    assert!(reader.read(&mut bytes).unwrap().is_some());
    assert_eq!(reader.total, head.len());
}

#[test]
fn headers_that_are_kept_do_not_keep_the_buffer() {
    let mut bytes = BytesMut::with_capacity(64 << 10);
    bytes.extend_from_slice(b"X\r\nA: b\r\n\r\n");
    let head = HeadReader::new(LIMITS, false).read(&mut bytes).unwrap().unwrap();
    assert!(bytes.try_reclaim(64 << 10), "nobody else holds the buffer");
    assert_eq!(head.headers["a"], "b");
}

#[test]
fn a_buffer_that_lost_its_front_is_no_panic() {
    let mut reader = HeadReader::new(LIMITS, false);
    let mut bytes = BytesMut::from(&b"X\r\nA: b\r\n"[..]);
    assert!(matches!(reader.read(&mut bytes), Ok(None)));
    bytes.clear();
    bytes.extend_from_slice(b"\r\n");
    assert!(matches!(reader.read(&mut bytes), Ok(None)));
}

#[test]
fn errors_say_what_is_wrong_and_where_the_rule_is() {
    assert_eq!(HeadError::ControlCharacter(7).to_string(), "control character 0x07");
    for error in [
        HeadError::StartLineTooLong,
        HeadError::HeaderLineTooLong,
        HeadError::TooManyHeaders,
        HeadError::HeadTooLarge,
        HeadError::BareLineFeed,
        HeadError::BareCarriageReturn,
        HeadError::ControlCharacter(0),
        HeadError::FoldedHeader,
        HeadError::InvalidHeaderName,
        HeadError::MissingStartLine,
    ] {
        assert!(error.to_string().starts_with(error.message()));
        assert!(error.section().starts_with("RFC 911"), "{error:?}");
    }
}
