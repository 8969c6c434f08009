//! Typed header values: tokens, quoted strings, parameters and lists (RFC 9110 §5.6).
//!
//! RFC 6455 writes `Sec-WebSocket-Protocol` and `Sec-WebSocket-Extensions` with these pieces.
//! Parsing looks at each byte once; optional white space around `,`, `;` and `=` is skipped.
//!
//! ```
//! use stentor_proto::header_value::Item;
//!
//! let items = Item::parse_list(r#"permessage-deflate; server_max_window_bits="10", x-mux"#)?;
//! assert_eq!(items.len(), 2);
//! assert_eq!(items[0].name(), "permessage-deflate");
//! assert_eq!(items[0].parameters()[0].value(), Some("10"));
//! assert_eq!(items[0].to_string(), "permessage-deflate; server_max_window_bits=10");
//! # Ok::<(), stentor_proto::header_value::ParseError>(())
//! ```

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Whether `text` is a token: one or more letters, digits or `` !#$%&'*+-.^_`|~ ``
/// (RFC 9110 §5.6.2).
///
/// ```
/// use stentor_proto::header_value::is_token;
///
/// assert!(is_token("soap.v1+json"));
/// assert!(!is_token("two words"));
/// assert!(!is_token(""));
/// ```
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The elements of a comma-separated list of tokens, such as `Connection: keep-alive, Upgrade`.
///
/// Empty elements are skipped, as RFC 9110 §5.6.1.2 asks of a recipient.
///
/// # Errors
///
/// The iterator yields [`ParseError::ExpectedToken`] in the place of an element that is no token,
/// and goes on behind it.
///
/// ```
/// use stentor_proto::header_value::tokens;
///
/// let names: Result<Vec<&str>, _> = tokens("chat , superchat,").collect();
/// assert_eq!(names?, ["chat", "superchat"]);
/// assert!(tokens("chat room").any(|name| name.is_err()));
/// # Ok::<(), stentor_proto::header_value::ParseError>(())
/// ```
pub fn tokens(value: &str) -> impl Iterator<Item = Result<&str, ParseError>> {
    let mut at = 0;
    value.split(',').filter_map(move |element| {
        let start = at;
        at += element.len() + 1;
        let token = trim_ows(element);
        (!token.is_empty())
            .then(|| if is_token(token) { Ok(token) } else { Err(ParseError::ExpectedToken { at: start }) })
    })
}

/// A token with parameters: `name; flag; key=token; key="quoted string"` (RFC 9110 §5.6.6).
///
/// Printing quotes a parameter's value only where it is no token. A parameter between two
/// semicolons may not be empty: RFC 6455 §9.1 has no such thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    name: String,
    parameters: Vec<Parameter>,
}

impl Item {
    /// An item without parameters.
    ///
    /// # Errors
    ///
    /// [`ParseError::ExpectedToken`] when `name` is no token.
    pub fn new(name: &str) -> Result<Self, ParseError> {
        token(name).map(|name| Self { name, parameters: Vec::new() })
    }

    /// Adds a parameter behind the others.
    #[must_use]
    pub fn with(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// The token in front.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters in their order; a name may come more than once.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Reads a comma-separated list. Empty elements are skipped, so the list may come out empty.
    ///
    /// # Errors
    ///
    /// A [`ParseError`] that says where the text stops being such a list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ParseError> {
        let mut cursor = Cursor { text, at: 0 };
        let mut items = Vec::new();
        loop {
            cursor.skip_ows();
            match cursor.peek() {
                None => return Ok(items),
                Some(b',') => cursor.at += 1,
                Some(_) => {
                    items.push(cursor.item()?);
                    if cursor.peek().is_some() && !cursor.eat(b',') {
                        return Err(ParseError::UnexpectedByte { at: cursor.at });
                    }
                }
            }
        }
    }
}

impl FromStr for Item {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.skip_ows();
        let item = cursor.item()?;
        match cursor.peek() {
            None => Ok(item),
            Some(_) => Err(ParseError::UnexpectedByte { at: cursor.at }),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.parameters.iter().try_for_each(|parameter| write!(f, "; {parameter}"))
    }
}

/// A parameter of an [`Item`]: a name, and a value if there is a `=`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameter {
    name: String,
    value: Option<String>,
}

impl Parameter {
    /// A name without a value.
    ///
    /// # Errors
    ///
    /// [`ParseError::ExpectedToken`] when `name` is no token.
    pub fn flag(name: &str) -> Result<Self, ParseError> {
        token(name).map(|name| Self { name, value: None })
    }

    /// A name with a value, which may be any text without control characters.
    ///
    /// ```
    /// use stentor_proto::header_value::Parameter;
    ///
    /// assert_eq!(Parameter::new("level", "9")?.to_string(), "level=9");
    /// assert_eq!(Parameter::new("title", "so \"it\" is")?.to_string(), r#"title="so \"it\" is""#);
    /// # Ok::<(), stentor_proto::header_value::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ParseError::ExpectedToken`] when `name` is no token, [`ParseError::InvalidQuotedByte`]
    /// when `value` holds a control character other than a tab.
    pub fn new(name: &str, value: &str) -> Result<Self, ParseError> {
        match value.bytes().position(|byte| !is_quotable(byte)) {
            Some(at) => Err(ParseError::InvalidQuotedByte { at }),
            None => token(name).map(|name| Self { name, value: Some(value.to_owned()) }),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, without quotes and escapes.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.value {
            None => Ok(()),
            Some(value) if is_token(value) => write!(f, "={value}"),
            Some(value) => {
                f.write_str("=\"")?;
                for character in value.chars() {
                    if matches!(character, '"' | '\\') {
                        f.write_char('\\')?;
                    }
                    f.write_char(character)?;
                }
                f.write_char('"')
            }
        }
    }
}

/// Where a header value stops following its grammar. Positions count bytes from the value's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// A token has to stand here.
    ExpectedToken {
        /// Where.
        at: usize,
    },
    /// Something follows that neither continues nor separates.
    UnexpectedByte {
        /// Where.
        at: usize,
    },
    /// A control character in a quoted string.
    InvalidQuotedByte {
        /// Where.
        at: usize,
    },
    /// A quoted string without its end.
    UnterminatedQuotedString {
        /// Where the string begins.
        at: usize,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpectedToken { at } => write!(f, "no token at byte {at}"),
            Self::UnexpectedByte { at } => write!(f, "unexpected byte {at}"),
            Self::InvalidQuotedByte { at } => write!(f, "control character in a quoted string, byte {at}"),
            Self::UnterminatedQuotedString { at } => write!(f, "quoted string at byte {at} without an end"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Removes optional white space, spaces and tabs, from both ends (RFC 9110 §5.6.3).
pub(crate) fn trim_ows(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
        | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// What a quoted string can hold, partly behind a backslash (RFC 9110 §5.6.4).
const fn is_quotable(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn token(text: &str) -> Result<String, ParseError> {
    if is_token(text) { Ok(text.to_owned()) } else { Err(ParseError::ExpectedToken { at: 0 }) }
}

/// A place in the text, which only moves forward.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_ows(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// `token *( OWS ";" OWS parameter ) OWS`, the parts of RFC 9110 §5.6.6.
    fn item(&mut self) -> Result<Item, ParseError> {
        let mut item = Item { name: self.token()?, parameters: Vec::new() };
        self.skip_ows();
        while self.eat(b';') {
            self.skip_ows();
            let name = self.token()?;
            self.skip_ows();
            let value = if self.eat(b'=') {
                self.skip_ows();
                Some(if self.eat(b'"') { self.quoted()? } else { self.token()? })
            } else {
                None
            };
            self.skip_ows();
            item.parameters.push(Parameter { name, value });
        }
        Ok(item)
    }

    fn token(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        while self.peek().is_some_and(is_token_byte) {
            self.at += 1;
        }
        match self.text.get(start..self.at) {
            Some(token) if !token.is_empty() => Ok(token.to_owned()),
            _ => Err(ParseError::ExpectedToken { at: start }),
        }
    }

    /// The rest of a quoted string, behind its first quote (RFC 9110 §5.6.4).
    fn quoted(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        let mut value = String::new();
        let mut escaped = false;
        for (offset, character) in self.text.get(start..).unwrap_or_default().char_indices() {
            match character {
                // Only a tab is allowed of ASCII's control characters; C1 is obs-text.
                _ if character.is_ascii_control() && character != '\t' => {
                    return Err(ParseError::InvalidQuotedByte { at: start + offset });
                }
                '"' if !escaped => {
                    self.at = start + offset + 1;
                    return Ok(value);
                }
                '\\' if !escaped => escaped = true,
                _ => {
                    value.push(character);
                    escaped = false;
                }
            }
        }
        Err(ParseError::UnterminatedQuotedString { at: start - 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        Item::parse_list(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_byte_is_a_token_byte_or_not_as_rfc_9110_lists_them() {
        for byte in 0..=0x7f_u8 {
            let listed = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&char::from(byte).to_string()), listed, "{byte:#x}");
        }
        assert!(!is_token("é"));
    }

    #[test]
    fn a_list_of_tokens_skips_white_space_and_empty_elements() {
        assert_eq!(tokens(" ,a ,\tb,, c\t").collect::<Result<Vec<_>, _>>(), Ok(vec!["a", "b", "c"]));
        assert_eq!(tokens(" , ,").count(), 0);
        assert_eq!(tokens("").count(), 0);
    }

    #[test]
    fn a_list_of_tokens_says_which_element_is_none() {
        let elements: Vec<_> = tokens("ok,not ok,\"a,b\"").collect();
        assert_eq!(
            elements,
            [
                Ok("ok"),
                Err(ParseError::ExpectedToken { at: 3 }),
                Err(ParseError::ExpectedToken { at: 10 }),
                Err(ParseError::ExpectedToken { at: 13 }),
            ]
        );
    }

    #[test]
    fn white_space_may_stand_around_every_separator() {
        assert_eq!(list(" a\t;  b = 1 ;c ,d ; e\t=\t\"f\" "), ["a; b=1; c", "d; e=f"]);
        assert_eq!(list(",,a,,"), ["a"]);
        assert_eq!(list(""), [""; 0]);
    }

    #[test]
    fn a_quoted_string_loses_its_quotes_and_escapes() {
        let item: Item = r#"a; b="x\"y\\z, ; \é"; c="""#.parse().unwrap();
        assert_eq!(item.parameters()[0].value(), Some("x\"y\\z, ; é"));
        assert_eq!(item.parameters()[1].value(), Some(""));
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let item = Item::new("a")
            .unwrap()
            .with(Parameter::flag("flag").unwrap())
            .with(Parameter::new("token", "1.5").unwrap())
            .with(Parameter::new("quoted", "\"a\\b\", c;\té").unwrap())
            .with(Parameter::new("empty", "").unwrap());
        assert_eq!(item.to_string(), "a; flag; token=1.5; quoted=\"\\\"a\\\\b\\\", c;\té\"; empty=\"\"");
        assert_eq!(item.to_string().parse(), Ok(item));
    }

    #[test]
    fn a_broken_list_is_refused_where_it_breaks() {
        use ParseError::{ExpectedToken, InvalidQuotedByte, UnexpectedByte, UnterminatedQuotedString};
        for (text, error) in [
            (";", ExpectedToken { at: 0 }),
            ("a;", ExpectedToken { at: 2 }),
            ("a;;b", ExpectedToken { at: 2 }),
            ("a; b=", ExpectedToken { at: 5 }),
            ("a; =1", ExpectedToken { at: 3 }),
            ("a; b=1 2", UnexpectedByte { at: 7 }),
            ("a b", UnexpectedByte { at: 2 }),
            ("a=b", UnexpectedByte { at: 1 }),
            ("a; b=\"c\"d", UnexpectedByte { at: 8 }),
            ("a; b=\"c", UnterminatedQuotedString { at: 5 }),
            ("a; b=\"c\\", UnterminatedQuotedString { at: 5 }),
            ("a; b=\"c\\\"", UnterminatedQuotedString { at: 5 }),
            ("a; b=\"\u{1}\"", InvalidQuotedByte { at: 6 }),
            ("a; b=\"\\\u{7f}\"", InvalidQuotedByte { at: 7 }),
            ("\"a\"", ExpectedToken { at: 0 }),
        ] {
            assert_eq!(Item::parse_list(text), Err(error), "{text}");
        }
    }

    #[test]
    fn one_item_is_not_a_list() {
        assert_eq!("a, b".parse::<Item>(), Err(ParseError::UnexpectedByte { at: 1 }));
        assert_eq!("".parse::<Item>(), Err(ParseError::ExpectedToken { at: 0 }));
    }

    #[test]
    fn what_cannot_be_printed_cannot_be_built() {
        assert_eq!(Item::new("a b"), Err(ParseError::ExpectedToken { at: 0 }));
        assert_eq!(Parameter::flag(""), Err(ParseError::ExpectedToken { at: 0 }));
        assert_eq!(Parameter::new("a:", "b"), Err(ParseError::ExpectedToken { at: 0 }));
        assert_eq!(Parameter::new("a", "b\r\nc"), Err(ParseError::InvalidQuotedByte { at: 1 }));
    }

    #[test]
    fn errors_name_the_place() {
        for (error, text) in [
            (ParseError::ExpectedToken { at: 1 }, "no token at byte 1"),
            (ParseError::UnexpectedByte { at: 2 }, "unexpected byte 2"),
            (ParseError::InvalidQuotedByte { at: 3 }, "control character in a quoted string, byte 3"),
            (ParseError::UnterminatedQuotedString { at: 4 }, "quoted string at byte 4 without an end"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
