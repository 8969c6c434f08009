//! Configurations with words between `@` in place of addresses and files.

use std::collections::BTreeMap;

use crate::outcome::{Result, Stop};

/// What the words stand for.
pub(super) type Values = BTreeMap<String, String>;

/// The words of a template, each once, in the order of the alphabet.
pub(super) fn words(template: &str) -> Vec<&str> {
    let mut words: Vec<_> = template.split('@').filter(|piece| is_word(piece)).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The template with each word replaced by its value.
pub(super) fn fill_in(template: &str, values: &Values) -> Result<String> {
    words(template).into_iter().try_fold(template.to_owned(), |text, word| {
        let value = values.get(word).ok_or_else(|| Stop::fail(format!("nothing to put for @{word}@")))?;
        Ok(text.replace(&format!("@{word}@"), value))
    })
}

fn is_word(piece: &str) -> bool {
    !piece.is_empty()
        && piece.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_and_nothing_else() {
        let template = "# words between @ are replaced\nlisten @HTTP@;\nserver @SERVER@ @HTTP@ user@host;\n";
        assert_eq!(words(template), ["HTTP", "SERVER"]);
        let mut values = Values::from([("HTTP".to_owned(), "80".to_owned())]);
        assert_eq!(fill_in(template, &values), Err(Stop::fail("nothing to put for @SERVER@")));
        values.insert("SERVER".to_owned(), "one".to_owned());
        let filled = "# words between @ are replaced\nlisten 80;\nserver one 80 user@host;\n";
        assert_eq!(fill_in(template, &values).unwrap(), filled);
    }
}
