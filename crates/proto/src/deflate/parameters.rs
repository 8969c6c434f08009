//! The four parameters as an offer or an answer names them (RFC 7692 §7.1).

use std::fmt;

use super::DeflateParams;
use crate::extension::Extension;

/// The name of the extension (RFC 7692 §7).
pub(crate) const NAME: &str = "permessage-deflate";

pub(super) const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
pub(super) const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
pub(super) const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
pub(super) const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The smallest and the largest window, as powers of two (RFC 7692 §7.1.2).
pub(super) const MIN_WINDOW_BITS: u8 = 8;
pub(super) const MAX_WINDOW_BITS: u8 = 15;

/// What one offer or one answer names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Window,
    pub(super) client_max_window_bits: Window,
}

/// What a parameter says about a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Window {
    /// The parameter is not there.
    #[default]
    Unnamed,
    /// It is there without a value, which only an offer may do, and only of the client's window.
    Open,
    /// The window has at most this size, as a power of two from 8 to 15.
    Bits(u8),
}

impl Window {
    /// How large it may be: what is not limited has at most 32 KiB (RFC 7692 §7.1.2).
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Unnamed | Self::Open => MAX_WINDOW_BITS,
            Self::Bits(bits) => bits,
        }
    }
}

impl Parameters {
    /// Reads the parameters of an offer, or of an answer, whatever their order.
    pub(super) fn read(element: &Extension) -> Result<Self, ParameterError> {
        let mut read = Self::default();
        let mut seen = Vec::with_capacity(4);
        for parameter in element.parameters() {
            let value = parameter.value();
            let name = match parameter.name() {
                SERVER_NO_CONTEXT_TAKEOVER => {
                    read.server_no_context_takeover = true;
                    valueless(SERVER_NO_CONTEXT_TAKEOVER, value)?
                }
                CLIENT_NO_CONTEXT_TAKEOVER => {
                    read.client_no_context_takeover = true;
                    valueless(CLIENT_NO_CONTEXT_TAKEOVER, value)?
                }
                SERVER_MAX_WINDOW_BITS => {
                    // §7.1.2.1: a limit to the server's window is always a number.
                    let value = value.ok_or(ParameterError::MissingValue(SERVER_MAX_WINDOW_BITS))?;
                    read.server_max_window_bits = window(SERVER_MAX_WINDOW_BITS, value)?;
                    SERVER_MAX_WINDOW_BITS
                }
                CLIENT_MAX_WINDOW_BITS => {
                    read.client_max_window_bits = match value {
                        Some(value) => window(CLIENT_MAX_WINDOW_BITS, value)?,
                        None => Window::Open,
                    };
                    CLIENT_MAX_WINDOW_BITS
                }
                unknown => return Err(ParameterError::Unknown(unknown.to_owned())),
            };
            // §7.1: a parameter comes at most once.
            if seen.contains(&name) {
                return Err(ParameterError::Duplicate(name));
            }
            seen.push(name);
        }
        Ok(read)
    }

    /// What both sides have agreed on when this is the answer.
    pub(super) fn agreed(self) -> DeflateParams {
        DeflateParams {
            server_context_takeover: !self.server_no_context_takeover,
            client_context_takeover: !self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.bits(),
            client_max_window_bits: self.client_max_window_bits.bits(),
        }
    }
}

/// §7.1.1: the parameters about context takeover have no value.
fn valueless(name: &'static str, value: Option<&str>) -> Result<&'static str, ParameterError> {
    if value.is_none() { Ok(name) } else { Err(ParameterError::UnexpectedValue(name)) }
}

/// §7.1.2: a decimal number from 8 to 15, without leading zeros.
fn window(name: &'static str, value: &str) -> Result<Window, ParameterError> {
    let canonical = !value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(bits @ MIN_WINDOW_BITS..=MAX_WINDOW_BITS) if canonical => Ok(Window::Bits(bits)),
        _ => Err(ParameterError::InvalidWindowBits(name)),
    }
}

/// An element of `Sec-WebSocket-Extensions`.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        for (name, named) in [
            (SERVER_NO_CONTEXT_TAKEOVER, self.server_no_context_takeover),
            (CLIENT_NO_CONTEXT_TAKEOVER, self.client_no_context_takeover),
        ] {
            if named {
                write!(f, "; {name}")?;
            }
        }
        for (name, window) in [
            (SERVER_MAX_WINDOW_BITS, self.server_max_window_bits),
            (CLIENT_MAX_WINDOW_BITS, self.client_max_window_bits),
        ] {
            match window {
                Window::Unnamed => {}
                Window::Open => write!(f, "; {name}")?,
                Window::Bits(bits) => write!(f, "; {name}={bits}")?,
            }
        }
        Ok(())
    }
}

/// Why a client cannot do with the parameters that a server answered for permessage-deflate
/// (RFC 7692 §7.1).
///
/// A server declines an offer for the same reasons, without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterError {
    /// A parameter that RFC 7692 does not define.
    Unknown(String),
    /// This parameter comes more than once.
    Duplicate(&'static str),
    /// This parameter has a value, but takes none.
    UnexpectedValue(&'static str),
    /// This parameter needs a value and has none.
    MissingValue(&'static str),
    /// The value of this parameter is no number from 8 to 15, or has leading zeros.
    InvalidWindowBits(&'static str),
    /// This parameter was offered as a condition, and the answer leaves it out.
    Missing(&'static str),
    /// The value of this parameter is above the limit that was offered.
    WindowTooLarge(&'static str),
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown parameter {name}"),
            Self::Duplicate(name) => write!(f, "{name} comes more than once"),
            Self::UnexpectedValue(name) => write!(f, "{name} has a value"),
            Self::MissingValue(name) => write!(f, "{name} has no value"),
            Self::InvalidWindowBits(name) => write!(f, "{name} is no number from 8 to 15"),
            Self::Missing(name) => write!(f, "{name} was asked for and is missing"),
            Self::WindowTooLarge(name) => write!(f, "{name} is above what was asked for"),
        }
    }
}

impl std::error::Error for ParameterError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Parameters, ParameterError> {
        Parameters::read(&format!("{NAME}{text}").parse().unwrap())
    }

    #[test]
    fn parameters_are_read_in_any_order_and_printed_in_one() {
        for (text, printed) in [
            ("", ""),
            (";server_no_context_takeover", "; server_no_context_takeover"),
            ("; client_max_window_bits", "; client_max_window_bits"),
            ("; client_max_window_bits=8", "; client_max_window_bits=8"),
            ("; server_max_window_bits=\"15\"", "; server_max_window_bits=15"),
            (
                "; client_max_window_bits=9; server_max_window_bits=10; client_no_context_takeover; \
                 server_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
                 client_max_window_bits=9",
            ),
        ] {
            assert_eq!(read(text).unwrap().to_string(), format!("{NAME}{printed}"), "{text}");
        }
    }

    #[test]
    fn every_combination_reads_back_as_it_was_printed() {
        let windows: Vec<Window> =
            [Window::Unnamed, Window::Open].into_iter().chain((8..=15).map(Window::Bits)).collect();
        let mut count = 0;
        for (server_no_context_takeover, client_no_context_takeover) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            for &server_max_window_bits in windows.iter().filter(|&&window| window != Window::Open) {
                for &client_max_window_bits in &windows {
                    let parameters = Parameters {
                        server_no_context_takeover,
                        client_no_context_takeover,
                        server_max_window_bits,
                        client_max_window_bits,
                    };
                    let element: Extension = parameters.to_string().parse().unwrap();
                    assert_eq!(Parameters::read(&element), Ok(parameters));
                    count += 1;
                }
            }
        }
        assert_eq!(count, 4 * 9 * 10);
    }

    #[test]
    fn what_rfc_7692_does_not_allow_is_refused_by_name() {
        use ParameterError::{Duplicate, InvalidWindowBits, MissingValue, UnexpectedValue, Unknown};
        for (text, error) in [
            ("; mem_level=8", Unknown("mem_level".into())),
            ("; Server_no_context_takeover", Unknown("Server_no_context_takeover".into())),
            ("; server_no_context_takeover=1", UnexpectedValue(SERVER_NO_CONTEXT_TAKEOVER)),
            ("; client_no_context_takeover=true", UnexpectedValue(CLIENT_NO_CONTEXT_TAKEOVER)),
            ("; server_max_window_bits", MissingValue(SERVER_MAX_WINDOW_BITS)),
            (
                "; server_no_context_takeover; server_no_context_takeover",
                Duplicate(SERVER_NO_CONTEXT_TAKEOVER),
            ),
            (
                "; client_no_context_takeover; server_no_context_takeover; client_no_context_takeover",
                Duplicate(CLIENT_NO_CONTEXT_TAKEOVER),
            ),
            ("; server_max_window_bits=10; server_max_window_bits=10", Duplicate(SERVER_MAX_WINDOW_BITS)),
            ("; client_max_window_bits; client_max_window_bits", Duplicate(CLIENT_MAX_WINDOW_BITS)),
            ("; client_max_window_bits; client_max_window_bits=10", Duplicate(CLIENT_MAX_WINDOW_BITS)),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        for name in [SERVER_MAX_WINDOW_BITS, CLIENT_MAX_WINDOW_BITS] {
            for value in
                ["0", "7", "16", "08", "015", "-8", "+8", "8.0", "ten", "0x8", "256", "264", "99999999999999"]
            {
                assert_eq!(read(&format!("; {name}={value}")), Err(InvalidWindowBits(name)), "{value}");
            }
        }
    }

    #[test]
    fn errors_name_the_parameter() {
        for (error, text) in [
            (ParameterError::Unknown("x".into()), "unknown parameter x"),
            (ParameterError::Duplicate(NAME), "permessage-deflate comes more than once"),
            (ParameterError::UnexpectedValue(NAME), "permessage-deflate has a value"),
            (ParameterError::MissingValue(NAME), "permessage-deflate has no value"),
            (ParameterError::InvalidWindowBits(NAME), "permessage-deflate is no number from 8 to 15"),
            (ParameterError::Missing(NAME), "permessage-deflate was asked for and is missing"),
            (ParameterError::WindowTooLarge(NAME), "permessage-deflate is above what was asked for"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
