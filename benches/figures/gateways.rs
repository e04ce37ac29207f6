//! The other servers that run CGI scripts: nginx with fcgiwrap, lighttpd's mod_cgi, Apache's mod_cgid. How each is
//! configured to do the same, as far as it is installed. It must not know what is measured.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::children::Guarded;
use crate::contestant::{Contestant, free_port};
use crate::site::Site;

/// A server, and the processes beside it that it needs.
pub struct Gateway {
    pub server: Contestant,
    _beside: Vec<Guarded>,
}

/// Who could be started; who could not, and why.
pub fn start(site: &Site, nginx: &Path) -> (Vec<Gateway>, Vec<String>) {
    let (mut started, mut missing) = (Vec::new(), Vec::new());
    for (name, result) in [
        ("nginx with fcgiwrap", with_fcgiwrap(site, nginx)),
        ("lighttpd mod_cgi", lighttpd(site)),
        ("Apache mod_cgid", apache(site)),
    ] {
        match result {
            Ok(gateway) => started.push(gateway),
            Err(error) => missing.push(format!("{name}: {error}")),
        }
    }
    (started, missing)
}

/// Four processes of fcgiwrap, more than there are processors. It could start them itself, but would not end them.
fn with_fcgiwrap(site: &Site, nginx: &Path) -> io::Result<Gateway> {
    let port = free_port()?;
    let sockets: Vec<String> =
        (0..4).map(|n| format!("unix:{}", site.path(&format!("logs/fcgiwrap.{n}")).display())).collect();
    let beside = sockets.iter().map(|socket| {
        let mut command = Command::new("/usr/sbin/fcgiwrap");
        command.arg("-s").arg(socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Guarded::start(&mut command)
    });
    let beside = beside.collect::<io::Result<Vec<_>>>()?;
    let upstream: String = sockets.iter().map(|socket| format!("server {socket};")).collect();
    let p = site.prefix();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {p}logs/fcgiwrap.{what};"))
        .join(" ");
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let conf = write(
        site,
        "fcgiwrap.conf",
        &format!(
            "daemon off; {user} worker_processes 2; pid {p}logs/fcgiwrap.pid; error_log {p}logs/fcgiwrap.log error;
events {{ worker_connections 20000; }}
http {{
    {temporary} access_log off; keepalive_requests 1000000000;
    upstream fcgiwrap {{ {upstream} }}
    server {{
        listen 127.0.0.1:{port}; root {p}html;
        location /cgi-bin/ {{
            fastcgi_pass fcgiwrap;
            fastcgi_param SCRIPT_FILENAME {p}$fastcgi_script_name;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        }}
    }}
}}
"
        ),
    )?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(&p).arg("-c").arg(conf);
    let server = Contestant::start_command(site, "nginx with fcgiwrap", command, port)?;
    Ok(Gateway { server, _beside: beside })
}

fn lighttpd(site: &Site) -> io::Result<Gateway> {
    let (port, p) = (free_port()?, site.prefix());
    let conf = write(
        site,
        "lighttpd.conf",
        &format!(
            "server.modules = (\"mod_alias\", \"mod_cgi\")
server.bind = \"127.0.0.1\"
server.port = {port}
server.document-root = \"{p}html\"
server.errorlog = \"{p}logs/lighttpd.log\"
server.max-keep-alive-requests = 60000
mimetype.assign = (\".html\" => \"text/html\")
alias.url = (\"/cgi-bin/\" => \"{p}cgi-bin/\")
$HTTP[\"url\"] =~ \"^/cgi-bin/\" {{ cgi.assign = (\"\" => \"\") }}
"
        ),
    )?;
    let mut command = Command::new("/usr/sbin/lighttpd");
    command.arg("-D").arg("-f").arg(conf);
    Ok(Gateway { server: Contestant::start_command(site, "lighttpd mod_cgi", command, port)?, _beside: Vec::new() })
}

fn apache(site: &Site) -> io::Result<Gateway> {
    let (port, p) = (free_port()?, site.prefix());
    let modules = "/usr/lib/apache2/modules";
    let user = if nix::unistd::geteuid().is_root() { "User nobody\nGroup nogroup" } else { "" };
    let conf = write(
        site,
        "apache.conf",
        &format!(
            "ServerRoot {p}
ServerName localhost
Listen 127.0.0.1:{port}
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule cgid_module {modules}/mod_cgid.so
DefaultRuntimeDir {p}logs
PidFile {p}logs/apache.pid
ErrorLog {p}logs/apache.log
ScriptSock {p}logs/cgid.socket
MaxKeepAliveRequests 0
DocumentRoot {p}html
ScriptAlias /cgi-bin/ {p}cgi-bin/
"
        ),
    )?;
    let mut command = Command::new("/usr/sbin/apache2");
    command.arg("-D").arg("FOREGROUND").arg("-f").arg(conf);
    Ok(Gateway { server: Contestant::start_command(site, "Apache mod_cgid", command, port)?, _beside: Vec::new() })
}

fn write(site: &Site, name: &str, text: &str) -> io::Result<std::path::PathBuf> {
    let path = site.path(name);
    fs::write(&path, text)?;
    Ok(path)
}
