//! The certificate that other servers are shown, with its key: files that are read when the conf is, or names with variables whose files
//! are found for each request.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::{Lack, fault, read};
use crate::conf::args::{Args, Fault};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::tls::files::{self, Passwords, Wrong};
use crate::tls::late::{Cache, Names, Store};
use crate::tls::words;

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    certificate: Option<Own<Vec<CertificateDer<'static>>>>,
    key: Option<Own<[u8]>>,
    passwords: Arc<Vec<Vec<u8>>>,
    /// What keeps certificates whose names contain variables.
    kept: Option<Arc<Cache>>,
    /// Where paths begin.
    folder: Arc<PathBuf>,
}

/// A file.
#[derive(Debug)]
enum Own<T: ?Sized> {
    /// Read.
    Read(PathBuf, Arc<T>),
    /// Its name.
    Late(Text),
}

impl<T: ?Sized> Clone for Own<T> {
    fn clone(&self) -> Self {
        match self {
            Own::Read(path, content) => Own::Read(path.clone(), content.clone()),
            Own::Late(text) => Own::Late(text.clone()),
        }
    }
}

impl<T: ?Sized> Own<T> {
    fn is_late(&self) -> bool {
        matches!(self, Own::Late(_))
    }

    /// The name, as far as it stands in the conf.
    fn text(&self) -> Cow<'_, Text> {
        use std::os::unix::ffi::OsStrExt;
        match self {
            Own::Read(path, _) => Cow::Owned(Text::literal(path.as_os_str().as_bytes().to_vec())),
            Own::Late(text) => Cow::Borrowed(text),
        }
    }
}

impl Shown {
    pub(super) fn set_certificate(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.folder = Arc::new(args.load.conf_dir.clone());
        self.certificate = Some(match words::file(args)? {
            (Some(text), _) => Own::Late(text),
            (None, path) => {
                let bytes = files::read(&args.load.outside, &path).map_err(|wrong| fault(args, wrong))?;
                let chain = files::certificates(&bytes, &path).map_err(|wrong| fault(args, wrong))?;
                Own::Read(path, Arc::new(chain))
            }
        });
        Ok(())
    }

    pub(super) fn set_key(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.folder = Arc::new(args.load.conf_dir.clone());
        self.key = Some(match words::file(args)? {
            (Some(text), _) => Own::Late(text),
            (None, path) => {
                let bytes = files::read(&args.load.outside, &path).map_err(|wrong| fault(args, wrong))?;
                args.warn_if_loose(args.word(0), &path);
                Own::Read(path, bytes)
            }
        });
        Ok(())
    }

    pub(super) fn set_passwords(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        let (_, bytes) = read(args)?;
        self.passwords = Arc::new(files::passwords(&bytes));
        Ok(())
    }

    pub(super) fn set_kept(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.kept = words::cache(args)?;
        Ok(())
    }

    /// The certificate with its key, if both were read with the conf: not if no line names one, nor if one is found for each request.
    pub(super) fn pair(&self, provider: &CryptoProvider, family: &str) -> Result<Option<CertifiedKey>, Lack> {
        let Some(certificate) = &self.certificate else { return Ok(None) };
        let Some(key) = &self.key else {
            let name = match certificate {
                Own::Read(path, _) => format!("names `{}`", path.display()),
                Own::Late(_) => "has a name with variables".into(),
            };
            let what = format!("{name} and no `{family}_ssl_certificate_key` belongs to it");
            let help = format!("each certificate has a key: write `{family}_ssl_certificate_key FILE;` behind it");
            return Err((format!("{family}_ssl_certificate"), Wrong { what, help: Some(help) }));
        };
        let (Own::Read(path, chain), Own::Read(key_path, bytes)) = (certificate, key) else { return Ok(None) };
        let directive = format!("{family}_ssl_password_file");
        let passwords = Passwords { directive: &directive, all: &self.passwords };
        let key = files::key(bytes, key_path, passwords);
        let pair = key.and_then(|key| files::pair(chain.to_vec(), key, (path, key_path), provider));
        pair.map(Some).map_err(|wrong| (format!("{family}_ssl_certificate_key"), wrong))
    }

    /// The certificate that this request's variables name. None where no variables are, or where they name nothing: then the server is
    /// shown what `pair` says. A line for the error log where it cannot be had.
    pub(super) fn late(&self, x: &Exchange, provider: &CryptoProvider) -> Result<Option<Arc<CertifiedKey>>, String> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        if !certificate.is_late() && !key.is_late() {
            return Ok(None);
        }
        let names = Names::of(x, &certificate.text(), &key.text())?;
        if names.certificate.is_empty() {
            return Ok(None);
        }
        let folder: &Path = &self.folder;
        let store = Store { folder: folder.into(), cache: self.kept.clone(), passwords: self.passwords.clone() };
        store.pair(names, provider).map(Some)
    }
}
