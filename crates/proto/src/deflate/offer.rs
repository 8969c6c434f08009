//! A client's offers, and what it makes of the answer (RFC 7692 §7.1).

use super::parameters::{
    CLIENT_MAX_WINDOW_BITS, MAX_WINDOW_BITS, MIN_WINDOW_BITS, ParameterError, Parameters,
    SERVER_MAX_WINDOW_BITS, SERVER_NO_CONTEXT_TAKEOVER, Window,
};
use super::{Deflate, DeflateParams};
use crate::extension::Extension;

impl Deflate {
    /// The offers of a client with these settings, the favourite first, as elements of
    /// `Sec-WebSocket-Extensions`.
    pub(crate) fn offers(&self) -> impl Iterator<Item = String> {
        let wanted = Parameters {
            server_no_context_takeover: !self.server_context_takeover,
            client_no_context_takeover: !self.client_context_takeover,
            server_max_window_bits: limit(self.server_max_window_bits, Window::Unnamed),
            // §7.1.2.2: a server may limit this window only if the client offers to be limited.
            client_max_window_bits: limit(self.client_max_window_bits, Window::Open),
        };
        // A server declines an offer to whose window it cannot keep (§7.1.2.1), and some decline a
        // hint that differs from their own wish, or fail on both. This one they can take up. It
        // holds no more memory here: what a server does not look back to need not be kept.
        let lesser = Parameters {
            server_no_context_takeover: wanted.server_no_context_takeover
                || wanted.server_max_window_bits != Window::Unnamed,
            server_max_window_bits: Window::Unnamed,
            client_max_window_bits: Window::Open,
            ..wanted
        };
        [Some(wanted), (lesser != wanted).then_some(lesser)]
            .into_iter()
            .flatten()
            .map(|offer| offer.to_string())
    }

    /// What a client with these settings has agreed to when a server answers its offers so.
    pub(crate) fn agreed(&self, answer: &Extension) -> Result<DeflateParams, ParameterError> {
        let answer = Parameters::read(answer)?;
        if !answer.server_no_context_takeover {
            // §7.1.1.1: a server accepts this by saying so; the lesser offer has it, too.
            if !self.server_context_takeover {
                return Err(ParameterError::Missing(SERVER_NO_CONTEXT_TAKEOVER));
            }
            // §7.1.2.1: "the same or smaller value as the offer".
            match (answer.server_max_window_bits, within(self.server_max_window_bits)) {
                (Window::Bits(bits), ours) if bits > ours => {
                    return Err(ParameterError::WindowTooLarge(SERVER_MAX_WINDOW_BITS));
                }
                (Window::Unnamed, ..MAX_WINDOW_BITS) => {
                    return Err(ParameterError::Missing(SERVER_MAX_WINDOW_BITS));
                }
                _ => {}
            }
        }
        // §7.1.2.2: in an answer, a number; any one will do, because the number in the offer was a
        // hint, which a server may ignore. What it hinted at is kept all the same.
        if answer.client_max_window_bits == Window::Open {
            return Err(ParameterError::MissingValue(CLIENT_MAX_WINDOW_BITS));
        }
        Ok(answer.agreed())
    }
}

/// The nearest size that a window can have.
pub(super) fn within(bits: u8) -> u8 {
    bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)
}

/// How to name a limit; `unlimited` is how to name none.
pub(super) fn limit(bits: u8, unlimited: Window) -> Window {
    match within(bits) {
        MAX_WINDOW_BITS => unlimited,
        bits => Window::Bits(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings without any wish, so that a test shows what it changes.
    fn settings() -> Deflate {
        Deflate { server_max_window_bits: 15, client_max_window_bits: 15, ..Deflate::default() }
    }

    fn offers(settings: &Deflate) -> Vec<String> {
        settings.offers().collect()
    }

    /// What comes of an answer with these parameters.
    fn agreed(settings: &Deflate, answer: &str) -> Result<DeflateParams, ParameterError> {
        settings.agreed(&format!("permessage-deflate{answer}").parse().unwrap())
    }

    #[test]
    fn an_offer_names_what_the_settings_ask_for() {
        assert_eq!(offers(&settings()), ["permessage-deflate; client_max_window_bits"]);
        let lean = Deflate { server_context_takeover: false, client_context_takeover: false, ..settings() };
        assert_eq!(
            offers(&lean),
            ["permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 client_max_window_bits"]
        );
    }

    #[test]
    fn a_server_that_does_not_want_these_windows_gets_an_offer_that_it_can_take_up() {
        assert_eq!(
            offers(&Deflate::default()),
            [
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
                "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            ]
        );
        assert_eq!(
            offers(&Deflate { client_max_window_bits: 12, client_context_takeover: false, ..settings() }),
            [
                "permessage-deflate; client_no_context_takeover; client_max_window_bits=12",
                "permessage-deflate; client_no_context_takeover; client_max_window_bits",
            ]
        );
    }

    #[test]
    fn settings_outside_the_range_count_as_the_nearest() {
        let narrow = Deflate { server_max_window_bits: 0, client_max_window_bits: 7, ..settings() };
        assert_eq!(
            offers(&narrow),
            [
                "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
                "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            ]
        );
        let wide = Deflate { server_max_window_bits: 16, client_max_window_bits: 255, ..settings() };
        assert_eq!(offers(&wide), offers(&settings()));
        assert!(agreed(&narrow, "; server_max_window_bits=8").is_ok());
        assert!(agreed(&narrow, "; server_max_window_bits=9").is_err());
    }

    #[test]
    fn what_an_answer_leaves_open_is_what_rfc_7692_presumes() {
        let plain = DeflateParams::default();
        for (settings, answer, params) in [
            (settings(), "", plain),
            (
                settings(),
                "; server_no_context_takeover",
                DeflateParams { server_context_takeover: false, ..plain },
            ),
            (
                settings(),
                "; client_no_context_takeover",
                DeflateParams { client_context_takeover: false, ..plain },
            ),
            (settings(), "; server_max_window_bits=8", DeflateParams { server_max_window_bits: 8, ..plain }),
            (settings(), "; server_max_window_bits=15", plain),
            (settings(), "; client_max_window_bits=8", DeflateParams { client_max_window_bits: 8, ..plain }),
            // Hints that the server ignores.
            (Deflate { client_context_takeover: false, client_max_window_bits: 10, ..settings() }, "", plain),
            (
                Deflate { client_max_window_bits: 10, ..settings() },
                "; client_max_window_bits=11",
                DeflateParams { client_max_window_bits: 11, ..plain },
            ),
            (
                Deflate { server_max_window_bits: 10, ..settings() },
                "; server_max_window_bits=10",
                DeflateParams { server_max_window_bits: 10, ..plain },
            ),
            // The lesser offer, taken up.
            (
                Deflate { server_max_window_bits: 10, ..settings() },
                "; server_no_context_takeover",
                DeflateParams { server_context_takeover: false, ..plain },
            ),
            (
                Deflate { server_max_window_bits: 10, ..settings() },
                "; server_max_window_bits=11; server_no_context_takeover",
                DeflateParams { server_max_window_bits: 11, server_context_takeover: false, ..plain },
            ),
            (
                Deflate { server_context_takeover: false, ..settings() },
                "; server_no_context_takeover",
                DeflateParams { server_context_takeover: false, ..plain },
            ),
        ] {
            assert_eq!(agreed(&settings, answer), Ok(params), "{answer}");
        }
    }

    #[test]
    fn an_answer_that_the_offer_does_not_allow_fails() {
        use ParameterError::{InvalidWindowBits, Missing, MissingValue, Unknown, WindowTooLarge};
        let narrow = Deflate { server_max_window_bits: 10, ..settings() };
        let forgetful = Deflate { server_context_takeover: false, ..settings() };
        for (settings, answer, error) in [
            (&settings(), "; x", Unknown("x".into())),
            (&settings(), "; client_max_window_bits", MissingValue("client_max_window_bits")),
            (&settings(), "; server_max_window_bits=16", InvalidWindowBits("server_max_window_bits")),
            (&narrow, "", Missing("server_max_window_bits")),
            (&narrow, "; client_no_context_takeover", Missing("server_max_window_bits")),
            (&narrow, "; server_max_window_bits=11", WindowTooLarge("server_max_window_bits")),
            (&forgetful, "", Missing("server_no_context_takeover")),
            (&forgetful, "; client_no_context_takeover", Missing("server_no_context_takeover")),
        ] {
            assert_eq!(agreed(settings, answer), Err(error), "{answer}");
        }
    }
}
