//! A server's answer to an offer (RFC 7692 §7.1).

use std::fmt;

use super::offer::{limit, within};
use super::parameters::{MAX_WINDOW_BITS, ParameterError, Parameters, Window};
use super::{Deflate, DeflateParams};
use crate::extension::Extension;

/// What a server answers to the offer that it takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeflateAnswer(Parameters);

impl DeflateAnswer {
    /// The answer of a server with these settings; an offer that breaks a rule is to be declined
    /// (§7.1).
    pub(crate) fn to(offer: &Extension, settings: &Deflate) -> Result<Self, ParameterError> {
        let offer = Parameters::read(offer)?;
        // What such a client does not look back to need not be kept here, so a limit to what is
        // kept holds in any case.
        let unlimited = offer.client_max_window_bits == Window::Unnamed
            && within(settings.client_max_window_bits) < MAX_WINDOW_BITS;
        Ok(Self(Parameters {
            // §7.1.1.1: accepted where it is asked for, and allowed where it is not.
            server_no_context_takeover: offer.server_no_context_takeover || !settings.server_context_takeover,
            // §7.1.1.2: the same. A hint of the client is taken up, so that both sides know.
            client_no_context_takeover: offer.client_no_context_takeover
                || !settings.client_context_takeover
                || unlimited,
            // §7.1.2.1: at most what is asked for; allowed where nothing is.
            server_max_window_bits: match offer.server_max_window_bits {
                Window::Bits(asked) => Window::Bits(asked.min(within(settings.server_max_window_bits))),
                Window::Unnamed | Window::Open => limit(settings.server_max_window_bits, Window::Unnamed),
            },
            // §7.1.2.2: at most what is hinted at, and only where it was offered: a client that
            // does not know the parameter may use the largest window.
            client_max_window_bits: match offer.client_max_window_bits {
                Window::Bits(hinted) => Window::Bits(hinted.min(within(settings.client_max_window_bits))),
                Window::Open => limit(settings.client_max_window_bits, Window::Unnamed),
                Window::Unnamed => Window::Unnamed,
            },
        }))
    }

    /// What has been agreed on when this is the answer.
    pub(crate) fn params(self) -> DeflateParams {
        self.0.agreed()
    }
}

/// An element of `Sec-WebSocket-Extensions`.
impl fmt::Display for DeflateAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings without any wish, so that a test shows what it changes.
    fn settings() -> Deflate {
        Deflate { server_max_window_bits: 15, client_max_window_bits: 15, ..Deflate::default() }
    }

    /// The parameters answered to an offer with these.
    fn answered(settings: &Deflate, offer: &str) -> String {
        let offer = format!("permessage-deflate{offer}").parse().unwrap();
        let answer = DeflateAnswer::to(&offer, settings).unwrap().to_string();
        answer.strip_prefix("permessage-deflate").unwrap().to_owned()
    }

    #[test]
    fn each_parameter_is_answered_by_its_own_rule() {
        let no_takeover =
            Deflate { server_context_takeover: false, client_context_takeover: false, ..settings() };
        let narrow = Deflate { server_max_window_bits: 10, client_max_window_bits: 9, ..settings() };
        for (settings, offer, answer) in [
            (&settings(), "", ""),
            (&settings(), "; server_no_context_takeover", "; server_no_context_takeover"),
            (&settings(), "; client_no_context_takeover", "; client_no_context_takeover"),
            (&settings(), "; server_max_window_bits=15", "; server_max_window_bits=15"),
            (&settings(), "; server_max_window_bits=8", "; server_max_window_bits=8"),
            (&settings(), "; client_max_window_bits", ""),
            (&settings(), "; client_max_window_bits=8", "; client_max_window_bits=8"),
            (&no_takeover, "", "; server_no_context_takeover; client_no_context_takeover"),
            (
                &no_takeover,
                "; client_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover",
            ),
            (&narrow, "", "; client_no_context_takeover; server_max_window_bits=10"),
            (
                &narrow,
                "; server_max_window_bits=9; client_max_window_bits",
                "; server_max_window_bits=9; client_max_window_bits=9",
            ),
            (
                &narrow,
                "; server_max_window_bits=12; client_max_window_bits",
                "; server_max_window_bits=10; client_max_window_bits=9",
            ),
            (&narrow, "; client_max_window_bits", "; server_max_window_bits=10; client_max_window_bits=9"),
            (&narrow, "; client_max_window_bits=8", "; server_max_window_bits=10; client_max_window_bits=8"),
            (&narrow, "; client_max_window_bits=15", "; server_max_window_bits=10; client_max_window_bits=9"),
        ] {
            assert_eq!(answered(settings, offer), answer, "{offer}");
        }
    }

    #[test]
    fn what_the_answer_leaves_open_is_what_rfc_7692_presumes() {
        let agreed = |offer: &str| {
            let narrow = Deflate { client_max_window_bits: 9, ..settings() };
            DeflateAnswer::to(&offer.parse().unwrap(), &narrow).unwrap().params()
        };
        let plain = DeflateParams::default();
        let forgetting = DeflateParams { client_context_takeover: false, ..plain };
        assert_eq!(agreed("permessage-deflate"), forgetting, "a client that knows no limit has none");
        let limited = DeflateParams { client_max_window_bits: 9, ..plain };
        assert_eq!(agreed("permessage-deflate; client_max_window_bits"), limited);
    }

    #[test]
    fn settings_outside_the_range_count_as_the_nearest() {
        let narrow = Deflate { server_max_window_bits: 0, client_max_window_bits: 7, ..settings() };
        let offer = "; client_max_window_bits";
        assert_eq!(answered(&narrow, offer), "; server_max_window_bits=8; client_max_window_bits=8");
        let wide = Deflate { server_max_window_bits: 16, client_max_window_bits: 255, ..settings() };
        assert_eq!(answered(&wide, offer), "");
    }

    #[test]
    fn an_offer_that_breaks_a_rule_has_no_answer() {
        let declined = |offer: &str| DeflateAnswer::to(&offer.parse().unwrap(), &settings()).unwrap_err();
        assert_eq!(declined("permessage-deflate; x"), ParameterError::Unknown("x".into()));
        assert_eq!(
            declined("permessage-deflate; server_max_window_bits=7"),
            ParameterError::InvalidWindowBits("server_max_window_bits")
        );
    }

    /// Every offer there is, with every setting that matters to the answer.
    #[test]
    fn every_answer_to_every_offer_is_one_that_rfc_7692_allows() {
        let windows: Vec<Window> =
            [Window::Unnamed, Window::Open].into_iter().chain((8..=15).map(Window::Bits)).collect();
        let flags = [(false, false), (false, true), (true, false), (true, true)];
        let mut count = 0;
        for (server_no_context_takeover, client_no_context_takeover) in flags {
            for &server_max_window_bits in windows.iter().filter(|&&window| window != Window::Open) {
                for &client_max_window_bits in &windows {
                    let offer = Parameters {
                        server_no_context_takeover,
                        client_no_context_takeover,
                        server_max_window_bits,
                        client_max_window_bits,
                    };
                    for bits in (8..=15).flat_map(|ours| (8..=15).map(move |theirs| (ours, theirs))) {
                        for takeover in flags {
                            allowed(offer, bits, takeover);
                            count += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(count, 4 * 9 * 10 * 64 * 4);
    }

    /// Checks an answer rule by rule.
    fn allowed(offer: Parameters, (server, client): (u8, u8), takeover: (bool, bool)) {
        let settings = Deflate {
            server_context_takeover: takeover.0,
            client_context_takeover: takeover.1,
            server_max_window_bits: server,
            client_max_window_bits: client,
            ..Deflate::default()
        };
        let printed = DeflateAnswer::to(&offer.to_string().parse().unwrap(), &settings).unwrap().to_string();
        let Parameters {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        } = Parameters::read(&printed.parse().unwrap()).unwrap();

        assert_eq!(server_no_context_takeover, offer.server_no_context_takeover || !takeover.0);
        let unlimited = offer.client_max_window_bits == Window::Unnamed && client < 15;
        assert_eq!(client_no_context_takeover, offer.client_no_context_takeover || !takeover.1 || unlimited);
        // Our own compressor keeps to both limits, and says so when it is asked.
        assert_eq!(server_max_window_bits.bits(), server.min(offer.server_max_window_bits.bits()));
        assert!(offer.server_max_window_bits == Window::Unnamed || server_max_window_bits != Window::Unnamed);
        // The client's is limited only if it offers that, and then by a number.
        match offer.client_max_window_bits {
            Window::Unnamed => assert_eq!(client_max_window_bits, Window::Unnamed),
            offered => {
                assert_ne!(client_max_window_bits, Window::Open);
                assert_eq!(client_max_window_bits.bits(), client.min(offered.bits()));
            }
        }
    }
}
