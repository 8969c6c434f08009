//! What permessage-deflate is wanted and used for, in the words of an answer (RFC 7692 §7.1):
//! `server_no_context_takeover; client_max_window_bits=10`.

use stentor_proto::{Deflate, DeflateParams, Extension};

/// Settings in these words; what they do not name is not limited.
///
/// # Errors
///
/// What is wrong with the text.
pub fn settings(text: &str) -> Result<Deflate, String> {
    let mut settings =
        Deflate { server_max_window_bits: 15, client_max_window_bits: 15, ..Deflate::default() };
    if text.is_empty() {
        return Ok(settings);
    }
    let named: Extension =
        format!("settings; {text}").parse().map_err(|error| format!("{error} in {text}"))?;
    for parameter in named.parameters() {
        let bits = || parameter.value()?.parse().ok();
        let number = || bits().ok_or_else(|| format!("no number in {parameter}"));
        match parameter.name() {
            "server_no_context_takeover" => settings.server_context_takeover = false,
            "client_no_context_takeover" => settings.client_context_takeover = false,
            "server_max_window_bits" => settings.server_max_window_bits = number()?,
            "client_max_window_bits" => settings.client_max_window_bits = number()?,
            unknown => return Err(format!("unknown parameter {unknown}")),
        }
    }
    Ok(settings)
}

/// What has been agreed on, in these words; what goes without saying is not named.
#[must_use]
pub fn terms(params: DeflateParams) -> String {
    let mut terms = Vec::new();
    for (name, takeover) in [
        ("server_no_context_takeover", params.server_context_takeover),
        ("client_no_context_takeover", params.client_context_takeover),
    ] {
        if !takeover {
            terms.push(name.to_owned());
        }
    }
    for (name, bits) in [
        ("server_max_window_bits", params.server_max_window_bits),
        ("client_max_window_bits", params.client_max_window_bits),
    ] {
        if bits != DeflateParams::default().server_max_window_bits {
            terms.push(format!("{name}={bits}"));
        }
    }
    terms.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_name_what_differs_from_the_usual() {
        assert_eq!(terms(DeflateParams::default()), "");
        let params = DeflateParams {
            server_context_takeover: false,
            client_context_takeover: false,
            server_max_window_bits: 8,
            client_max_window_bits: 14,
        };
        assert_eq!(
            terms(params),
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; \
             client_max_window_bits=14"
        );
    }

    #[test]
    fn settings_are_what_their_words_say() {
        let open = settings("").unwrap();
        assert_eq!((open.server_max_window_bits, open.client_max_window_bits), (15, 15));
        let lean = settings("server_no_context_takeover; client_max_window_bits=9").unwrap();
        assert_eq!(lean, Deflate { server_context_takeover: false, client_max_window_bits: 9, ..open });
        for (text, error) in [
            (";", "no token at byte 10 in ;"),
            ("level=1", "unknown parameter level"),
            ("server_max_window_bits", "no number in server_max_window_bits"),
        ] {
            assert_eq!(settings(text).unwrap_err(), error);
        }
    }
}
