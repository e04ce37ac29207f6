//! How `session_zone` is read: a name, where its sessions are kept, and how that is reached.

use std::sync::Arc;

use redis::{ClientTlsConfig, TlsCertificates};

use super::conf::{Conf, Contents, Declared, OnError};
use super::store::{Folder, Memory, Redis, Store};
use super::ticket::Keys;
use crate::conf::args::{Args, Fault, bytes_to_path};
use crate::conf::ast::Word;
use crate::conf::zone::{self, Identity};

/// The directive, and the kind of its zones.
pub const ZONE: &str = "session_zone";
/// A file of certificates is no larger.
const CERTIFICATES: u64 = 1 << 20;
/// How each part of one begins.
const PEM: &[u8] = b"-----BEGIN ";

pub fn declare(_: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let first = args.word(0);
    let (name, size) = match first.text.contains(&b':') {
        true => zone::name_and_size(first, &first.text).map(|(name, size)| (name, Some(size)))?,
        false => (first.show().to_string(), None),
    };
    if name == "off" {
        return Err(Fault::at(first, "takes another name than `off`, which turns sessions off"));
    }
    let (mut store, mut on_error, mut secure) = (None, OnError::Fail, Secure::default());
    for word in &args.words()[1..] {
        let text = word.show();
        match text.split_once('=') {
            Some(("store", _)) if store.is_some() => return Err(Fault::at(word, "has a second `store=`")),
            Some(("store", _)) => store = Some(word),
            Some(("on_error", "fail")) => on_error = OnError::Fail,
            Some(("on_error", "ignore")) => on_error = OnError::Ignore,
            Some((parameter, file)) if secure.takes(parameter) => {
                let path = args.load.conf_dir.join(file);
                let read = args.load.outside.read(&path, CERTIFICATES);
                let read = read.map_err(|why| Fault::at(word, format!("cannot read `{}`: {why}", path.display())))?;
                if parameter == "ssl_certificate_key" {
                    args.warn_if_loose(word, &path);
                }
                if !read.windows(PEM.len()).any(|part| part == PEM) {
                    return Err(Fault::at(word, format!("names `{}`, which holds nothing in PEM", path.display())));
                }
                secure.keep(parameter, read.to_vec(), word.clone());
            }
            _ => {
                return Err(Fault::at(word, format!("has an unknown parameter `{text}`")).help(
                    "parameters are `store=...`, `on_error=fail` or `on_error=ignore`, and with a `rediss://` store \
                     `ssl_trusted_certificate=`, `ssl_certificate=` and `ssl_certificate_key=`",
                ));
            }
        }
    }
    if let Some((word, folder)) = store.and_then(|word| Some((word, word.text.strip_prefix(b"store=file:")?))) {
        args.warn_if_loose(word, &args.load.prefix.join(bytes_to_path(folder)));
    }
    let mut key = store.map(|word| word.text[b"store=".len()..].to_vec()).unwrap_or_default();
    // What was read counts too: a new certificate makes new connections.
    key.extend(secure.files.iter().flat_map(|(_, text, _)| text));
    let store = make(args, store, &name, size, secure)?;
    let identity = Identity { kind: ZONE, name: name.clone(), key, size: size.unwrap_or(0) };
    let contents = zone::contents(identity, || Contents { store });
    args.load.zones.declare(ZONE, &name.clone(), first, Declared { name, on_error, contents })
}

/// Files for TLS to a store: the parameter, what stands in the file, and the word.
#[derive(Default)]
struct Secure {
    files: Vec<(&'static str, Vec<u8>, Word)>,
}

impl Secure {
    const PARAMETERS: [&str; 3] = ["ssl_trusted_certificate", "ssl_certificate", "ssl_certificate_key"];

    fn takes(&self, parameter: &str) -> bool {
        Self::PARAMETERS.contains(&parameter) && !self.files.iter().any(|(known, ..)| *known == parameter)
    }

    fn keep(&mut self, parameter: &str, text: Vec<u8>, word: Word) {
        let known = Self::PARAMETERS.into_iter().find(|known| *known == parameter);
        self.files.extend(known.map(|known| (known, text, word)));
    }

    fn take(&mut self, parameter: &str) -> Option<Vec<u8>> {
        let at = self.files.iter().position(|(known, ..)| *known == parameter)?;
        Some(self.files.remove(at).1)
    }

    fn certificates(mut self) -> Result<TlsCertificates, Fault> {
        let root_cert = self.take("ssl_trusted_certificate");
        let client_tls = match (self.take("ssl_certificate"), self.take("ssl_certificate_key")) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
            (None, None) => None,
            _ => {
                return Err(Fault::new("has only one of `ssl_certificate=` and `ssl_certificate_key=`")
                    .help("a certificate to show to the store needs its key"));
            }
        };
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

fn make(args: &Args<'_>, word: Option<&Word>, name: &str, size: Option<u64>, secure: Secure) -> Result<Store, Fault> {
    let place = word.map(|word| word.text[b"store=".len()..].to_vec()).unwrap_or_default();
    match (word, size) {
        (Some(word), _) if place.starts_with(b"rediss://") => {
            let certificates = secure.certificates()?;
            redis(word, &place, name, Some(certificates))
        }
        _ if !secure.files.is_empty() => {
            let (parameter, _, word) = &secure.files[0];
            Err(Fault::at(word, format!("has `{parameter}=` for a store that is not spoken to over TLS"))
                .help("write `store=rediss://HOST:PORT/DATABASE`"))
        }
        (Some(word), _) if place.starts_with(b"redis") => redis(word, &place, name, None),
        (Some(word), _) if place.starts_with(b"file:") => {
            let folder = &place[b"file:".len()..];
            if folder.is_empty() {
                return Err(Fault::at(word, "names no folder").help("write `store=file:FOLDER`"));
            }
            Ok(Store::Folder(Folder::new(args.load.prefix.join(bytes_to_path(folder)))))
        }
        (Some(word), _) if place != b"memory" => Err(Fault::at(
            word,
            format!("knows no store `{}`", String::from_utf8_lossy(&place)),
        )
        .help(
            "stores are `store=file:FOLDER`, `store=redis://HOST:PORT/DATABASE` and `store=rediss://...`; memory is \
                 the default",
        )),
        (_, Some(size)) => {
            let keys = Keys::random().ok_or_else(|| Fault::new("finds no randomness on this system"))?;
            Ok(Store::Memory(Memory::new(size, keys)))
        }
        (_, None) => {
            Err(Fault::at(args.word(0), "has no size, and is kept in memory")
                .help(format!("write `{ZONE} {name}:8m;`")))
        }
    }
}

fn redis(word: &Word, place: &[u8], name: &str, certificates: Option<TlsCertificates>) -> Result<Store, Fault> {
    let url = String::from_utf8_lossy(place).into_owned();
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        return Err(Fault::at(word, "takes a URL that begins with `redis://`, or with `rediss://` for TLS"));
    }
    if url.contains("#insecure") {
        return Err(Fault::at(
            word,
            "takes no `#insecure`: whoever sits in between could read and change every session",
        )
        .help("name the authority of the store's certificate with `ssl_trusted_certificate=FILE`"));
    }
    let redis = Redis::new(&url, name, certificates);
    let redis = redis.map_err(|why| Fault::at(word, format!("names a store that cannot be used: {why}")))?;
    Ok(Store::Redis(Arc::new(redis)))
}
