//! Extensions as the opening handshake names them: offers and answers (RFC 6455 §9.1).
//!
//! This is their form. What Stentor offers and answers is decided in the handshake, and what their
//! parameters mean by each extension: permessage-deflate is the only one.

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use crate::header_value::{Item, Parameter, ParseError, is_token};

/// One element of `Sec-WebSocket-Extensions`: an offer when a client sends it, an answer when a
/// server does (RFC 6455 §9.1).
///
/// A client may offer the same extension several times, with other parameters and in the order of
/// its preference.
///
/// ```
/// use stentor_proto::Extension;
///
/// let offers = Extension::parse_list("permessage-deflate; client_max_window_bits, x-trace")?;
/// assert_eq!(offers[0].name(), "permessage-deflate");
/// assert_eq!(offers[0].parameter("client_max_window_bits"), Some(None));
/// assert_eq!(offers[0].parameter("server_no_context_takeover"), None);
/// assert_eq!(Extension::print_list(&offers), "permessage-deflate; client_max_window_bits, x-trace");
/// # Ok::<(), stentor_proto::ExtensionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Extension(Item);

impl Extension {
    /// An extension without parameters.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::Syntax`] when `name` is no token.
    pub fn new(name: &str) -> Result<Self, ExtensionError> {
        Ok(Self(Item::new(name)?))
    }

    /// Adds a parameter, with or without a value, behind the others.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::Syntax`] when `name` is no token,
    /// [`ExtensionError::ParameterValue`] when `value` is none.
    pub fn with(self, name: &str, value: Option<&str>) -> Result<Self, ExtensionError> {
        let parameter = match value {
            Some(value) => Parameter::new(name, value)?,
            None => Parameter::flag(name)?,
        };
        Self::try_from(self.0.with(parameter))
    }

    /// The extension's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The parameters in their order; a name may come more than once.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        self.0.parameters()
    }

    /// The first parameter of that name: `None` without one, `Some(None)` when it has no value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Option<&str>> {
        self.parameters().iter().find(|parameter| parameter.name() == name).map(Parameter::value)
    }

    /// Reads the value of one header line, which names at least one extension.
    ///
    /// # Errors
    ///
    /// An [`ExtensionError`] that says which rule of RFC 6455 §9.1 the text breaks.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ExtensionError> {
        let items = Item::parse_list(text)?;
        if items.is_empty() {
            return Err(ExtensionError::Empty);
        }
        items.into_iter().map(Self::try_from).collect()
    }

    /// The value of a header line that names these extensions.
    #[must_use]
    pub fn print_list(extensions: &[Self]) -> String {
        extensions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Reads all header lines, which mean the same as one line with all of them (RFC 6455 §9.1).
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Vec<Self>, ExtensionError> {
        let mut extensions = Vec::new();
        for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
            extensions.extend(Self::parse_list(value.to_str().map_err(|_| ExtensionError::NotAscii)?)?);
        }
        Ok(extensions)
    }
}

impl TryFrom<Item> for Extension {
    type Error = ExtensionError;

    fn try_from(item: Item) -> Result<Self, ExtensionError> {
        // RFC 6455 §9.1: after unquoting, the value must be a token.
        if item.parameters().iter().filter_map(Parameter::value).all(is_token) {
            Ok(Self(item))
        } else {
            Err(ExtensionError::ParameterValue)
        }
    }
}

impl FromStr for Extension {
    type Err = ExtensionError;

    fn from_str(text: &str) -> Result<Self, ExtensionError> {
        Self::try_from(text.parse::<Item>()?)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no list of extensions (RFC 6455 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The text is no list of names with parameters.
    Syntax(ParseError),
    /// The list is empty.
    Empty,
    /// A parameter's value is no token.
    ParameterValue,
    /// A byte outside ASCII.
    NotAscii,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::Empty => f.write_str("no extension named"),
            Self::ParameterValue => f.write_str("the value of an extension parameter is no token"),
            Self::NotAscii => f.write_str("extensions outside ASCII"),
        }
    }
}

impl std::error::Error for ExtensionError {}

impl From<ParseError> for ExtensionError {
    fn from(error: ParseError) -> Self {
        Self::Syntax(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Extension> {
        Extension::parse_list(text).unwrap()
    }

    #[test]
    fn a_quoted_parameter_is_one_without_quotes() {
        assert_eq!(parse("a; b=\"10\""), parse("a;b=10"));
        assert_eq!("a; b=\"1 0\"".parse::<Extension>(), Err(ExtensionError::ParameterValue));
        assert_eq!("a; b=\"\"".parse::<Extension>(), Err(ExtensionError::ParameterValue));
    }

    #[test]
    fn an_empty_list_is_none() {
        assert_eq!(Extension::parse_list(" , "), Err(ExtensionError::Empty));
        assert_eq!(Extension::parse_list("a b"), Err(ParseError::UnexpectedByte { at: 2 }.into()));
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(Extension::from_headers(&headers), Ok(vec![]));
        headers.append(SEC_WEBSOCKET_EXTENSIONS, "a, b".parse().unwrap());
        headers.append(SEC_WEBSOCKET_EXTENSIONS, "c; d=e".parse().unwrap());
        assert_eq!(Extension::from_headers(&headers), Ok(parse("a, b, c; d=e")));
        headers.append(SEC_WEBSOCKET_EXTENSIONS, "é".try_into().unwrap());
        assert_eq!(Extension::from_headers(&headers), Err(ExtensionError::NotAscii));
    }

    #[test]
    fn an_extension_is_built_as_it_is_printed() {
        let extension = Extension::new("x").unwrap().with("y", None).unwrap().with("z", Some("1")).unwrap();
        assert_eq!(extension.to_string(), "x; y; z=1");
        assert_eq!(extension.parameter("z"), Some(Some("1")));
        assert_eq!(Extension::new("x y"), Err(ParseError::ExpectedToken { at: 0 }.into()));
        let x = Extension::new("x").unwrap();
        assert_eq!(x.clone().with("y", Some("1 2")), Err(ExtensionError::ParameterValue));
        assert_eq!(x.clone().with("", Some("1")), Err(ParseError::ExpectedToken { at: 0 }.into()));
        assert_eq!(x.with("", None), Err(ParseError::ExpectedToken { at: 0 }.into()));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        assert_eq!(
            ExtensionError::Syntax(ParseError::ExpectedToken { at: 7 }).to_string(),
            "no token at byte 7"
        );
        assert_eq!(ExtensionError::Empty.to_string(), "no extension named");
        assert!(ExtensionError::ParameterValue.to_string().contains("parameter"));
        assert!(ExtensionError::NotAscii.to_string().contains("ASCII"));
    }
}
