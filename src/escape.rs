// SPDX-License-Identifier: MPL-2.0
//! PURE: any text as one part of an address. Owns which characters stay readable there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is never escaped: the unreserved characters of RFC 3986, 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name of a path, a value of a query, a user or a password, with everything escaped that has a meaning there.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::escaped;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    #[test]
    fn only_what_has_no_meaning_stays_readable() {
        assert_eq!(escaped("Az09-._~"), "Az09-._~");
        assert_eq!(escaped("a/b?c#d@e:f%g h"), "a%2Fb%3Fc%23d%40e%3Af%25g%20h");
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in ".*") {
            let escaped = escaped(&text);
            prop_assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(percent_decode_str(&escaped).decode_utf8().expect("text"), text);
        }
    }
}
