//! User and password of Basic authentication (RFC 7617), as a request's Authorization field brings them. Bytes, not text:
//! what they are encoded in is between the client and the password file.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// RFC 4648 section 4, as clients write it: the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// User and password from a field's value; none if it is another scheme or malformed. The user ends at the first colon
/// (RFC 7617 section 2), so a password may hold some.
pub fn basic(field: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, credentials) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = BASE64.decode(credentials.trim_ascii()).ok()?;
    let colon = user.iter().position(|&b| b == b':')?;
    let password = user.split_off(colon + 1);
    user.truncate(colon);
    Some((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password() {
        for (field, want) in [
            ("Basic dXNlcjpwYXNz", Some(("user", "pass"))),
            ("bAsIc   dXNlcjpwYXNz ", Some(("user", "pass"))),
            ("Basic YTpiOmM=", Some(("a", "b:c"))),
            ("Basic YTpiOmM", Some(("a", "b:c"))),
            ("Basic Og==", Some(("", ""))),
            ("Basic dXNlcg==", None),
            ("Basic", None),
            ("Basic ", None),
            ("Basic *", None),
            ("Bearer dXNlcjpwYXNz", None),
            ("", None),
        ] {
            let want = want.map(|(user, password)| (user.as_bytes().to_vec(), password.as_bytes().to_vec()));
            assert_eq!(basic(field.as_bytes()), want, "{field}");
        }
        assert_eq!(basic(b"Basic /zr+"), Some((b"\xff".to_vec(), b"\xfe".to_vec())));
    }
}
