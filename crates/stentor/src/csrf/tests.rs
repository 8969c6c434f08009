use super::*;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"another key that is long enough to be one";
const NOW: u64 = 1_700_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn csrf() -> Csrf {
    Csrf::new(KEY).unwrap()
}

/// The signature of a token with another expiry, user and key would have.
fn with_mac_of(token: &str, other: &str) -> String {
    let (expires, _) = token.split_once('.').unwrap();
    let (_, mac) = other.split_once('.').unwrap();
    format!("{expires}.{mac}")
}

#[test]
fn a_token_is_good_for_its_user_until_it_expires() {
    let csrf = csrf().lifetime(Duration::from_secs(90));
    let token = csrf.issue("ann", at(NOW));
    for (time, verdict) in [
        (NOW, Ok(())),
        (NOW + 89, Ok(())),
        (NOW + 90, Err(CsrfError::Expired)),
        (NOW + 100_000, Err(CsrfError::Expired)),
        // A clock that is set back does not hurt.
        (NOW - 3600, Ok(())),
    ] {
        assert_eq!(csrf.verify(&token, "ann", at(time)), verdict, "{time}");
    }
}

#[test]
fn parts_of_a_second_do_not_prolong_it() {
    let csrf = csrf().lifetime(Duration::from_secs(1));
    let token = csrf.issue("ann", at(NOW) + Duration::from_millis(999));
    assert_eq!(csrf.verify(&token, "ann", at(NOW) + Duration::from_millis(999)), Ok(()));
    assert_eq!(csrf.verify(&token, "ann", at(NOW + 1)), Err(CsrfError::Expired));
}

/// HMAC-SHA256 as another implementation computes it (Python's `hmac`).
#[test]
fn the_token_is_the_expiry_and_the_hmac() {
    let token = csrf().lifetime(Duration::from_secs(60)).issue("ann", at(NOW));
    assert_eq!(token, "1700000060.WqWfCkZBFE59tK1-k564YgvjEIgM8RMCq75y0I_jKVM");
}

#[test]
fn a_token_of_another_user_is_forged() {
    let token = csrf().issue("ann", at(NOW));
    for user in ["bob", "Ann", "an", "annn", ""] {
        assert_eq!(csrf().verify(&token, user, at(NOW)), Err(CsrfError::Forged), "{user}");
    }
}

#[test]
fn a_token_of_another_key_is_forged() {
    let token = Csrf::new(OTHER).unwrap().issue("ann", at(NOW));
    assert_eq!(csrf().verify(&token, "ann", at(NOW)), Err(CsrfError::Forged));
}

#[test]
fn the_time_cannot_be_changed() {
    let csrf = csrf();
    let (token, later) = (csrf.issue("ann", at(NOW)), csrf.issue("ann", at(NOW + 1000)));
    let prolonged = with_mac_of(&later, &token);
    assert_eq!(csrf.verify(&prolonged, "ann", at(NOW)), Err(CsrfError::Forged));
    // Not even that a forged one has expired is told.
    assert_eq!(csrf.verify(&prolonged, "ann", at(NOW + 9999)), Err(CsrfError::Forged));
}

#[test]
fn a_token_with_any_byte_replaced_is_not_good() {
    let csrf = csrf();
    let token = csrf.issue("ann", at(NOW));
    for place in 0..token.len() {
        for byte in (0..=127u8).map(char::from).filter(|byte| !token[place..].starts_with(*byte)) {
            let changed = format!("{}{byte}{}", &token[..place], &token[place + 1..]);
            let verdict = csrf.verify(&changed, "ann", at(NOW));
            assert!(
                matches!(verdict, Err(CsrfError::Forged | CsrfError::Malformed)),
                "{changed}: {verdict:?}"
            );
        }
    }
}

#[test]
fn a_part_of_a_token_or_more_than_one_is_malformed() {
    let csrf = csrf();
    let token = csrf.issue("ann", at(NOW));
    for len in 0..token.len() {
        assert_eq!(csrf.verify(&token[..len], "ann", at(NOW)), Err(CsrfError::Malformed), "{len}");
    }
    for len in 1..token.len() {
        let verdict = csrf.verify(&token[len..], "ann", at(NOW));
        // What is left of the digits is another time.
        assert!(matches!(verdict, Err(CsrfError::Malformed | CsrfError::Forged)), "{len}: {verdict:?}");
    }
    let (expires, mac) = token.split_once('.').unwrap();
    for malformed in [
        format!("0{token}"),
        format!("+{token}"),
        format!("-{token}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}="),
        format!("{token}A"),
        format!("{token}.{mac}"),
        format!("{expires}..{mac}"),
        format!("99999999999999999999.{mac}"),
        format!(".{mac}"),
        format!("{expires}."),
        "é".repeat(30),
        "x".repeat(1 << 20),
    ] {
        let shown: String = malformed.chars().take(80).collect();
        assert_eq!(csrf.verify(&malformed, "ann", at(NOW)), Err(CsrfError::Malformed), "{shown}");
    }
}

#[test]
fn a_key_that_was_used_before_verifies_and_does_not_issue() {
    let (old, new) = (Csrf::new(OTHER).unwrap(), csrf());
    let rotated = Csrf::new(KEY).unwrap().previous_key(OTHER).unwrap();
    assert_eq!(rotated.verify(&old.issue("ann", at(NOW)), "ann", at(NOW)), Ok(()));
    assert_eq!(rotated.verify(&old.issue("ann", at(NOW)), "ann", at(NOW + 60)), Err(CsrfError::Expired));
    assert_eq!(rotated.verify(&old.issue("ann", at(NOW)), "bob", at(NOW)), Err(CsrfError::Forged));
    let token = rotated.issue("ann", at(NOW));
    assert_eq!(new.verify(&token, "ann", at(NOW)), Ok(()));
    assert_eq!(old.verify(&token, "ann", at(NOW)), Err(CsrfError::Forged));
}

#[test]
fn a_short_key_is_refused() {
    assert_eq!(Csrf::new(&KEY[1..]).unwrap_err(), KeyTooShort);
    assert_eq!(csrf().previous_key(b"").unwrap_err(), KeyTooShort);
    assert_eq!(KeyTooShort.to_string(), "a key needs 32 bytes");
}

#[test]
fn times_at_the_edge_do_not_overflow() {
    let csrf = csrf().lifetime(Duration::MAX);
    let token = csrf.issue("ann", UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(csrf.verify(&token, "ann", at(NOW)), Ok(()));
    let none = Csrf::new(KEY).unwrap().lifetime(Duration::ZERO);
    assert_eq!(none.verify(&none.issue("ann", at(NOW)), "ann", at(NOW)), Err(CsrfError::Expired));
}

#[test]
fn a_token_can_stand_in_a_url() {
    for user in 0..100 {
        let token = csrf().issue(&user.to_string(), at(NOW));
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{token}");
    }
}

#[test]
fn a_debug_print_does_not_tell_the_keys() {
    let printed = format!("{:?}", csrf().previous_key(OTHER).unwrap());
    assert_eq!(printed, "Csrf { lifetime: 60s, .. }");
}
