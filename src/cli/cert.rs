//! `longshore cert self-signed`: a certificate for a laptop or a test, with its key, and the lines of the conf that use it.
//! Knows nothing of servers.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::options::SelfSigned;
use super::{plain, say};
use crate::exchange::error::system_words;

const DAY: Duration = Duration::from_secs(86_400);

/// Makes both files.
pub fn run(asked: &SelfSigned) -> ExitCode {
    match make(asked) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(text) => {
            say(&format!("longshore: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// What to say about the files, once they are there.
fn make(asked: &SelfSigned) -> Result<String, String> {
    let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))?;
    let folder = asked.out.as_ref().map_or(here.clone(), |out| plain(&here.join(out)));
    let (certificate, key) = self_signed(&asked.names, asked.days)?;
    let stem = file_stem(&asked.names[0]);
    let (certificate_file, key_file) = (folder.join(format!("{stem}.pem")), folder.join(format!("{stem}.key")));
    std::fs::create_dir_all(&folder).map_err(|error| cannot("make the folder", &folder, &error))?;
    if let Some(there) = [&certificate_file, &key_file].into_iter().find(|file| file.exists()) {
        return Err(format!("{} is there already: remove it, or name another folder with --out", there.display()));
    }
    write(&key_file, &key, 0o600)?;
    write(&certificate_file, &certificate, 0o644)?;
    Ok(format!(
        "A certificate for {}, good for {} days. Browsers warn of it, since nobody but itself vouches for it.\n\n    \
         listen 443 ssl;\n    ssl_certificate     {};\n    ssl_certificate_key {};\n",
        asked.names.join(", "),
        asked.days,
        certificate_file.display(),
        key_file.display(),
    ))
}

/// A certificate for these names and addresses, and its key, in PEM.
fn self_signed(names: &[String], days: u32) -> Result<(String, String), String> {
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("`{name}` is neither a name nor an address"));
    }
    let refused = |error: rcgen::Error| format!("the certificate cannot be made: {error}");
    let mut params = CertificateParams::new(names).map_err(refused)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, names[0].as_str());
    params.distinguished_name = name;
    // A clock that is a little behind must not refuse it.
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(refused)?;
    let made = params.self_signed(&key).map_err(refused)?;
    Ok((made.pem(), key.serialize_pem()))
}

/// Whether it can stand in a certificate: an address, or labels of letters, digits and hyphens, the first perhaps `*`.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let labels = name.strip_prefix("*.").unwrap_or(name);
    name.parse::<std::net::IpAddr>().is_ok() || (name.len() <= 253 && labels.split('.').all(is_label))
}

/// A file's name for it: `*.example.com` is `_.example.com`.
fn file_stem(name: &str) -> String {
    name.replace('*', "_").replace(':', "-")
}

fn write(file: &Path, text: &str, mode: u32) -> Result<(), String> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot("write", &PathBuf::from(file), &error))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("cannot {what} {}: name a folder of yours with --out", path.display()),
        _ => format!("cannot {what} {}: {}", path.display(), system_words(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, fine) in [
            ("localhost", true),
            ("a.example.com", true),
            ("*.example.com", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("", false),
            ("a..b", false),
            ("a/b", false),
            ("a.*.b", false),
            ("two words", false),
        ] {
            assert_eq!(is_name(name), fine, "{name}");
        }
        assert_eq!((file_stem("*.a"), file_stem("::1")), ("_.a".into(), "--1".into()));
    }

    #[test]
    fn the_key_is_for_its_owner_alone_and_nothing_is_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("made/here");
        let asked =
            SelfSigned { help: None, names: vec!["a.test".into(), "::1".into()], out: Some(out.clone()), days: 3 };
        let said = make(&asked).unwrap();
        assert!(said.contains(&format!("ssl_certificate_key {}/a.test.key;", out.display())), "{said}");
        let mode = |name: &str| std::fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a.test.key"), mode("a.test.pem")), (0o600, 0o644));
        assert!(make(&asked).unwrap_err().contains("is there already"));
    }
}
