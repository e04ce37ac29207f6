//! Keys, certificates and passwords that lie in no plain file: somebody writes them into a pipe when the server reads it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::thread::JoinHandle;

use nix::sys::stat::Mode;
use pkcs8::der::pem::LineEnding;
use pkcs8::{PrivateKeyInfoRef, pkcs5::pbes2};

use crate::site::{Site, wait_for};
use crate::tls::{NAME, ask, trusting};

/// Makes a pipe and writes a text into it once for each reader, so many times.
fn pipe(path: PathBuf, text: String, times: usize) -> JoinHandle<()> {
    if !path.exists() {
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    }
    std::thread::spawn(move || {
        for _ in 0..times {
            let mut to = OpenOptions::new().write(true).open(&path).unwrap();
            let (one, two) = text.split_at(text.len() / 2);
            to.write_all(one.as_bytes()).unwrap();
            to.write_all(two.as_bytes()).unwrap();
            drop(to);
            // The end is heard before somebody opens it anew.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    })
}

/// A key under a password.
fn sealed(der: &[u8], password: &str) -> String {
    let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, &[7; 16], [7; 16]).unwrap();
    let document = PrivateKeyInfoRef::try_from(der).unwrap().encrypt_with_params(params, password).unwrap();
    document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap().to_string()
}

#[test]
fn pipes_bring_keys_certificates_and_passwords() {
    let made = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    let dir = Site::folder();
    let at = |name: &str| dir.path().join(name);
    let key = sealed(&made.signing_key.serialize_der(), "open sesame");
    // Each is read once at the start, whoever serves, and once more at the reload.
    let writers = [
        pipe(at("chain"), made.cert.pem(), 2),
        pipe(at("key"), key, 2),
        pipe(at("words"), "wrong\nopen sesame\n".into(), 2),
    ];
    let server = |text: &str| {
        format!(
            "server {{ listen 127.0.0.1:%PORT1% ssl; ssl_certificate %DIR%/chain; ssl_certificate_key %DIR%/key;
                ssl_password_file %DIR%/words; location / {{ return 200 {text}hello; }} }}
             server {{ listen 127.0.0.1:%PORT2% ssl; ssl_certificate %DIR%/chain; ssl_certificate_key %DIR%/key;
                ssl_password_file %DIR%/words; }}"
        )
    };
    let site = Site::start_in(dir, "", &server("first-"));
    let secure = trusting(site, &made.cert);
    assert!(ask(&mut secure.connect(), "/").ends_with("first-hello"));
    secure.site.reload("", &server("second-"));
    wait_for("the new conf", || ask(&mut secure.connect(), "/").ends_with("second-hello"));
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    secure.site.stop();
}
