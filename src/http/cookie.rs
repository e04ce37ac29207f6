//! Cookies of a request (RFC 6265 4.2.1): the value of one name, as nginx's `$cookie_NAME` finds it. Pairs are
//! separated by `;` or `,`, names are compared without case, a value ends at `;`. Quotes have no meaning.

/// The value of the first cookie of this name in the request's Cookie fields.
pub fn find<'a>(fields: impl IntoIterator<Item = &'a [u8]>, name: &[u8]) -> Option<&'a [u8]> {
    fields.into_iter().find_map(|field| find_in(field, name))
}

/// The values of all cookies of exactly this name in a Cookie field, in order (RFC 6265 section 4.2.1).
pub fn values<'a>(field: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = field.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

fn find_in<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = field;
    loop {
        rest = skip_spaces(rest);
        if let Some((start, after)) = rest.split_at_checked(name.len())
            && start.eq_ignore_ascii_case(name)
            && let Some(value) = skip_spaces(after).strip_prefix(b"=")
        {
            let value = skip_spaces(value);
            return Some(&value[..value.iter().position(|&b| b == b';').unwrap_or(value.len())]);
        }
        let separator = rest.iter().position(|&b| matches!(b, b';' | b','))?;
        rest = &rest[separator + 1..];
    }
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|&&b| b == b' ').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_one_name() {
        for (field, want) in [
            ("a=1; b=2;a=3", vec!["1", "3"]),
            ("A=1; ab=2; =3; a; a =4;;", vec![]),
            (" a=1=2 ;a=", vec!["1=2", ""]),
            ("a=1,a=2", vec!["1,a=2"]),
        ] {
            let found: Vec<_> = values(field.as_bytes(), b"a").map(|value| String::from_utf8_lossy(value)).collect();
            assert_eq!(found, want, "{field}");
        }
    }

    #[test]
    fn one_name_among_many() {
        let table: [(&[&str], Option<&str>); 20] = [
            (&["a=1"], Some("1")),
            (&["A=1"], Some("1")),
            (&["b=2; a=1"], Some("1")),
            (&["b=2;a=1"], Some("1")),
            (&["b=2,a=1"], Some("1")),
            (&["b=2 a=1"], None),
            (&["a=1;a=2"], Some("1")),
            (&["a = 1 ; b=2"], Some("1 ")),
            (&["xa=1; a=2"], Some("2")),
            (&["ab=1"], None),
            (&["a=\"q; r\""], Some("\"q")),
            (&["a==1"], Some("=1")),
            (&["a=; a=3"], Some("")),
            (&["a; a=3"], Some("3")),
            (&["a"], None),
            (&[""], None),
            (&[";; , ;a=1"], Some("1")),
            (&["b=1", "a=7"], Some("7")),
            (&["a=1", "a=7"], Some("1")),
            (&[], None),
        ];
        for (fields, expected) in table {
            let found = find(fields.iter().map(|field| field.as_bytes()), b"a");
            assert_eq!(found, expected.map(str::as_bytes), "{fields:?}");
        }
    }
}
