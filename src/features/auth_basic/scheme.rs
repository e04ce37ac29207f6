//! Whether a password fits what a password file holds for its user. Pure; a slow scheme takes milliseconds on purpose, so
//! the caller decides who may ask when.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Passwords longer than this never fit a slow scheme, as with the C library; hashing them would take long.
const LONGEST: usize = 512;

/// How a file stores one password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `{PLAIN}`: as it is.
    Plain,
    /// `{SHA}`: SHA-1.
    Sha,
    /// `{SSHA}`: SHA-1 with a salt behind it.
    SaltedSha,
    /// `$apr1$` of Apache's htpasswd.
    Apache,
    /// `$1$`.
    Md5,
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$5$` and `$6$`.
    ShaCrypt,
    /// `$y$`.
    Yescrypt,
}

impl Scheme {
    /// The scheme of a stored password; else what it seems to be.
    pub fn of(stored: &[u8]) -> Result<Scheme, &'static str> {
        const BEGINNINGS: [(&[u8], Scheme); 11] = [
            (b"{PLAIN}", Scheme::Plain),
            (b"{SHA}", Scheme::Sha),
            (b"{SSHA}", Scheme::SaltedSha),
            (b"$apr1$", Scheme::Apache),
            (b"$1$", Scheme::Md5),
            (b"$2a$", Scheme::Bcrypt),
            (b"$2b$", Scheme::Bcrypt),
            (b"$2y$", Scheme::Bcrypt),
            (b"$5$", Scheme::ShaCrypt),
            (b"$6$", Scheme::ShaCrypt),
            (b"$y$", Scheme::Yescrypt),
        ];
        let found = BEGINNINGS.iter().find(|(beginning, _)| stored.starts_with(beginning));
        let is_des = stored.len() == 13 && stored.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
        match found {
            Some((_, scheme)) => Ok(*scheme),
            None if stored.starts_with(b"$2x$") => Err("bcrypt with an old error ($2x$)"),
            None if stored.starts_with(b"$7$") => Err("scrypt ($7$)"),
            None if stored.starts_with(b"$gy$") => Err("gost-yescrypt ($gy$)"),
            None if stored.starts_with(b"{") || stored.starts_with(b"$") => Err("one nobody here knows"),
            None if is_des => Err("the old DES crypt"),
            None => Err("plain text without {PLAIN} before it"),
        }
    }

    /// Whether checking takes long enough that few should do it at once.
    pub fn is_slow(self) -> bool {
        !matches!(self, Scheme::Plain | Scheme::Sha | Scheme::SaltedSha)
    }

    /// Whether the password fits. Compares in a time that does not depend on where they differ.
    pub fn fits(self, stored: &[u8], password: &[u8]) -> bool {
        // The C library ends a password at a zero byte; here none fits.
        if self.is_slow() && (password.len() > LONGEST || password.contains(&0)) {
            return false;
        }
        match self {
            Scheme::Plain => same(&stored[b"{PLAIN}".len()..], password),
            Scheme::Sha => {
                let hash = STANDARD.decode(&stored[b"{SHA}".len()..]).unwrap_or_default();
                same(&hash, &Sha1::digest(password))
            }
            Scheme::SaltedSha => {
                let hash = STANDARD.decode(&stored[b"{SSHA}".len()..]).unwrap_or_default();
                let Some((hash, salt)) = hash.split_at_checked(20) else { return false };
                same(hash, &Sha1::digest([password, salt].concat()))
            }
            Scheme::Apache => fits_md5(stored, b"$apr1$", password),
            Scheme::Md5 => fits_md5(stored, b"$1$", password),
            Scheme::Bcrypt => text(stored).is_some_and(|stored| bcrypt::verify(password, stored).unwrap_or(false)),
            Scheme::ShaCrypt => {
                text(stored).is_some_and(|stored| ShaCrypt::default().verify_password(password, stored).is_ok())
            }
            Scheme::Yescrypt => text(stored).is_some_and(|stored| {
                // A hash of nothing would fit everything.
                let has_hash = stored.rsplit('$').next().is_some_and(|hash| hash.len() >= 20);
                has_hash && yescrypt::Yescrypt::default().verify_password(password, stored).is_ok()
            }),
        }
    }
}

fn text(stored: &[u8]) -> Option<&str> {
    std::str::from_utf8(stored).ok()
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

fn fits_md5(stored: &[u8], magic: &[u8], password: &[u8]) -> bool {
    let rest = &stored[magic.len()..];
    let Some(dollar) = rest.iter().position(|&b| b == b'$') else { return false };
    let salt = &rest[..dollar.min(8)];
    same(&rest[dollar + 1..], &md5_crypt(password, salt, magic))
}

/// The hash of FreeBSD's MD5 crypt, which Apache uses with a magic of its own.
fn md5_crypt(password: &[u8], salt: &[u8], magic: &[u8]) -> Vec<u8> {
    let inner = Md5::digest([password, salt, password].concat());
    let mut first = Md5::new();
    first.update([password, magic, salt].concat());
    for at in (0..password.len()).step_by(16) {
        first.update(&inner[..(password.len() - at).min(16)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // The original meant something else here; this is what everybody does.
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut hash = first.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &hash });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &hash } else { password });
        hash = next.finalize();
    }
    let mut out = Vec::with_capacity(22);
    let mut put = |mut bits: u32, letters: usize| {
        const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for _ in 0..letters {
            out.push(LETTERS[(bits & 63) as usize]);
            bits >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4);
    }
    put(u32::from(hash[11]), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by openssl passwd, htpasswd and the C library's crypt.
    const STORED: [(&str, Scheme); 13] = [
        ("{PLAIN}secret", Scheme::Plain),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", Scheme::Sha),
        ("{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", Scheme::SaltedSha),
        ("$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", Scheme::Apache),
        ("$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", Scheme::Md5),
        ("$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", Scheme::Bcrypt),
        ("$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", Scheme::Bcrypt),
        ("$2a$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", Scheme::Bcrypt),
        ("$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.", Scheme::ShaCrypt),
        ("$5$rounds=1000$ab$bw4PhTdETPYycBP1S/MfHGVqzf4cldTXkxqJJ2X8w.3", Scheme::ShaCrypt),
        (
            "$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPlAKmFFlrjEwSXGo2kgY5hR2.peKEg2VGUqIJJu1",
            Scheme::ShaCrypt,
        ),
        (
            "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
            Scheme::ShaCrypt,
        ),
        ("$y$j9T$abcdefgh$IUWJt2doU4Kf6E/JP1UkAT3S5O3Q7SSA8SJirXIlEu9", Scheme::Yescrypt),
    ];

    #[test]
    fn each_scheme_knows_its_password() {
        for (stored, scheme) in STORED {
            assert_eq!(Scheme::of(stored.as_bytes()), Ok(scheme));
            assert!(scheme.fits(stored.as_bytes(), b"secret"), "{stored}");
            for wrong in ["", "Secret", "secret ", "secre", "secret\0"] {
                assert!(!scheme.fits(stored.as_bytes(), wrong.as_bytes()), "{stored} and {wrong:?}");
            }
            let cut = &stored.as_bytes()[..stored.len() - 1];
            assert!(!scheme.fits(cut, b"secret"), "{stored} without its end");
        }
    }

    #[test]
    fn what_is_malformed_fits_nothing() {
        for stored in [
            "{SHA}",
            "{SSHA}",
            "{SSHA}AAAA",
            "{SHA}*",
            "$apr1$",
            "$apr1$$",
            "$1$x",
            "$2y$",
            "$2y$99$x",
            "$5$",
            "$6$$",
            "$y$",
            "$y$j9T$a$",
        ] {
            let scheme = Scheme::of(stored.as_bytes()).unwrap();
            assert!(!scheme.fits(stored.as_bytes(), b"") && !scheme.fits(stored.as_bytes(), b"secret"), "{stored}");
        }
        assert!(Scheme::Plain.fits(b"{PLAIN}", b""));
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (stored, name) in [
            ("abNANd1rDfiNc", "DES"),
            ("secret", "plain text"),
            ("", "plain text"),
            ("$7$x", "scrypt"),
            ("{CRYPT}x", "nobody"),
        ] {
            assert!(Scheme::of(stored.as_bytes()).is_err_and(|what| what.contains(name)), "{stored}");
        }
    }
}
