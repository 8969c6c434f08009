use super::*;
use crate::deflate::ParameterError;

fn config(deflate: Deflate) -> Config {
    Config { deflate: Some(deflate), ..Config::default() }
}

/// Settings without any wish, so that a test shows what it changes.
fn open() -> Deflate {
    Deflate { server_max_window_bits: 15, client_max_window_bits: 15, ..Deflate::default() }
}

fn parse(text: &str) -> Vec<Extension> {
    Extension::parse_list(text).unwrap()
}

fn answered(deflate: Deflate, offers: &str) -> Option<String> {
    Answers::to(&parse(offers), &config(deflate)).header()
}

#[test]
fn who_does_not_want_compression_offers_nothing_and_declines_everything() {
    let config = Config::default();
    assert_eq!(offers(&config), None);
    let answers = Answers::to(&parse("permessage-deflate"), &config);
    assert_eq!((answers.header(), answers.agreed()), (None, Agreed::default()));
    assert_eq!(Agreed::by(&[], &config).unwrap(), Agreed::default());
}

#[test]
fn a_client_offers_its_favourite_first_in_one_header() {
    assert_eq!(
        offers(&config(Deflate::default())).unwrap(),
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12, \
         permessage-deflate; server_no_context_takeover; client_max_window_bits"
    );
}

#[test]
fn a_server_takes_up_the_first_offer_that_follows_the_rules() {
    for (offers, answer) in [
        ("permessage-deflate", Some("permessage-deflate")),
        ("x-webkit-deflate-frame, permessage-deflate", Some("permessage-deflate")),
        (
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
            Some("permessage-deflate; server_no_context_takeover"),
        ),
        ("permessage-deflate, permessage-deflate; server_no_context_takeover", Some("permessage-deflate")),
        // Fall-backs behind an unknown, a repeated, an impossible, a valueless, a valued parameter.
        ("permessage-deflate; x, permessage-deflate", Some("permessage-deflate")),
        (
            "permessage-deflate; client_max_window_bits; client_max_window_bits, permessage-deflate",
            Some("permessage-deflate"),
        ),
        (
            "permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=10",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        ("permessage-deflate; server_max_window_bits, permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; server_no_context_takeover=1, permessage-deflate", Some("permessage-deflate")),
        // Nothing that can be taken up.
        ("permessage-deflate; x, permessage-deflate; server_max_window_bits=7", None),
        ("Permessage-Deflate", None),
        ("permessage-bzip2, x", None),
    ] {
        assert_eq!(answered(open(), offers).as_deref(), answer, "{offers}");
    }
}

#[test]
fn a_client_goes_on_only_with_what_it_offered() {
    let agreed = |answers: &str| Agreed::by(&parse(answers), &config(open()));
    assert_eq!(
        agreed("permessage-deflate; client_max_window_bits=9").unwrap().deflate,
        Some(DeflateParams { client_max_window_bits: 9, ..DeflateParams::default() })
    );
    for answers in ["x", "permessage-deflate, x", "permessage-deflate, permessage-deflate"] {
        let error = agreed(answers).unwrap_err();
        assert!(matches!(error, ClientHandshakeError::ExtensionNotOffered), "{answers}: {error:?}");
    }
    let error = agreed("permessage-deflate; x").unwrap_err();
    assert!(matches!(error, ClientHandshakeError::InvalidDeflate(ParameterError::Unknown(_))), "{error:?}");
    let error = Agreed::by(&parse("permessage-deflate"), &Config::default()).unwrap_err();
    assert!(matches!(error, ClientHandshakeError::ExtensionNotOffered), "{error:?}");
}

/// Every setting of one side that matters to the negotiation.
fn all_settings() -> impl Iterator<Item = Deflate> {
    (8..=15).flat_map(|server| (8..=15).map(move |client| (server, client))).flat_map(|(server, client)| {
        [(false, false), (false, true), (true, false), (true, true)].map(|takeover| Deflate {
            server_context_takeover: takeover.0,
            client_context_takeover: takeover.1,
            server_max_window_bits: server,
            client_max_window_bits: client,
            ..Deflate::default()
        })
    })
}

#[test]
fn our_client_and_our_server_agree_whatever_either_wants() {
    let servers: Vec<Config> = all_settings().map(config).collect();
    let mut pairs = 0;
    for client in all_settings() {
        let client = config(client);
        let offers = parse(&offers(&client).unwrap());
        for server in &servers {
            let answers = Answers::to(&offers, server);
            let seen = Agreed::by(&parse(&answers.header().unwrap()), &client).unwrap();
            assert_eq!(seen, answers.agreed(), "{client:?} {server:?}");

            // Whatever one side forbids does not happen.
            let params = seen.deflate.unwrap();
            for settings in [&client, server].map(|config| config.deflate.as_ref().unwrap()) {
                assert!(settings.server_context_takeover || !params.server_context_takeover);
                assert!(settings.client_context_takeover || !params.client_context_takeover);
                assert!(params.server_max_window_bits <= settings.server_max_window_bits);
                assert!(params.client_max_window_bits <= settings.client_max_window_bits);
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 256 * 256);
}
