//! Settings: what a conf says, composed of the features' own settings. Immutable once loaded; a request
//! carries the ones that were current when its head was complete.

pub mod block;
pub mod blocks;
pub mod checks;
pub mod dangers;
mod foreign;
mod ifs;
pub mod in_force;
pub mod load;
mod location;
pub mod names;
mod refusals;
pub mod rows;
pub mod sockets;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::{Sources, Span};
use crate::conf::zone;
use crate::exchange::logging;
use crate::exchange::place::Place;
use crate::exchange::variables::Variables;
use crate::features::{self, access_log};
use crate::gateway::upstream::Upstreams;
use crate::route::{Location, Server};
use rows::{Row, VariableRow};

macro_rules! features {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// The settings of one block: each feature's share. A block starts as a copy of the
        /// finished one around it, so features that say nothing share one allocation.
        #[derive(Clone, Default)]
        pub struct Scope {
            $($(#[$doc])* pub $field: Arc<features::$field::Conf>,)*
            /// Where each value was set.
            pub places: Arc<Places>,
            /// Which steps of the pipeline these settings have a use for.
            pub steps: Memo,
            /// Which of its filters they have a use for.
            pub filters: Memo,
        }

        fn directive_rows() -> Vec<Row> {
            let mut rows = Vec::new();
            $(rows.extend(features::$field::DIRECTIVES.iter().map(|row| {
                Row::new(stringify!($field), row, |scope| Arc::make_mut(&mut scope.$field))
            }));)*
            rows
        }

        fn variable_rows() -> Vec<VariableRow> {
            let mut rows = Vec::new();
            $(rows.extend(features::$field::VARIABLES.iter().map(|row| {
                VariableRow::new(stringify!($field), row, |scope| &scope.$field)
            }));)*
            rows
        }
    };
}

features! {
    /// The process: user, threads, pid file.
    process,
    /// Connections in all.
    events,
    /// Addresses.
    listen,
    /// TLS.
    ssl,
    /// Newer versions of HTTP.
    http_versions,
    /// Names of servers.
    server_name,
    /// How a head is read.
    request_head,
    /// How long a connection is kept.
    keepalive,
    /// How fast an answer is sent.
    limit_rate,
    /// How an answer is sent.
    sending,
    /// How a connection is closed.
    lingering,
    /// Request bodies.
    request_body,
    /// From URI to path.
    root,
    /// How files are opened.
    open_files,
    /// Files for folders.
    index,
    /// Listings.
    autoindex,
    /// Content types.
    types,
    /// Files tried in turn.
    try_files,
    /// Locations for inside only.
    internal,
    /// What regexes may cost.
    regexes,
    /// Variables from other texts.
    map,
    /// Variables from addresses.
    geo,
    /// Where requests go.
    rewrite,
    /// Pages for errors.
    error_page,
    /// Which methods.
    methods,
    /// Who the client is, behind a proxy.
    realip,
    /// How many requests in a time.
    limit_req,
    /// How many at once.
    limit_conn,
    /// From which pages.
    referer,
    /// Who may.
    access,
    /// What is kept for a client.
    session,
    /// Files that were compressed beforehand.
    precompressed,
    /// Users and passwords.
    auth_basic,
    /// Who may, by another location's word.
    auth_request,
    /// Copies of requests.
    mirror,
    /// Who hears of a request afterwards.
    post_action,
    /// Files as answers.
    static_files,
    /// Fields of answers.
    headers,
    /// Cookies of answers.
    cookies,
    /// Packed answers for clients that cannot unpack them.
    gunzip,
    /// Texts replaced in answers.
    sub_filter,
    /// Charsets.
    charset,
    /// Compression.
    gzip,
    /// How Location is made absolute.
    redirect,
    /// What we say of ourselves.
    server_tokens,
    /// The access log.
    access_log,
    /// The error log.
    error_log,
    /// Counters.
    stub_status,
    /// A picture of one pixel.
    empty_gif,
    /// Servers that requests are passed to.
    upstream,
    /// Names looked up while requests come.
    resolver,
    /// Programs that write the answer.
    cgi,
    /// Requests passed to other HTTP servers.
    proxy,
    /// Whether those do well.
    health_check,
    /// What those say before their response.
    early_hints,
    /// FastCGI programs that write the answer.
    fastcgi,
    /// SCGI programs that do.
    scgi,
    /// uwsgi programs that do.
    uwsgi,
    /// Files that browsers send.
    upload,
    /// Files that clients change.
    dav,
    /// Variables of the request itself.
    request_variables,
    /// What is not built yet (`--partial`).
    unbuilt,
}

/// The directives of all features, in the features' order.
pub static ROWS: LazyLock<Vec<Row>> = LazyLock::new(directive_rows);

/// The variables of all features, in the features' order.
pub static VARIABLES: LazyLock<Vec<VariableRow>> = LazyLock::new(variable_rows);

/// Bits that are worked out of finished settings when they are asked for first. A copy of the settings is made to be changed, so
/// it begins without.
#[derive(Default)]
pub struct Memo(OnceLock<u64>);

impl Memo {
    /// The bits.
    pub fn get(&self, work_out: impl FnOnce() -> u64) -> u64 {
        *self.0.get_or_init(work_out)
    }
}

impl Clone for Memo {
    fn clone(&self) -> Memo {
        Memo::default()
    }
}

/// Where values were set: the ones of this block, then those of the blocks around it.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The block around.
    pub parent: Option<Arc<Places>>,
    /// Directive and place, in order.
    pub set: Vec<(&'static str, Span)>,
    /// Each of those directives once: a block may hold thousands of lines.
    pub names: Vec<&'static str>,
}

impl Places {
    /// Notes that a directive was set.
    pub fn add(&mut self, name: &'static str, span: Span) {
        self.set.push((name, span));
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Where the value in force was set; none for a default.
    pub fn of(&self, name: &str) -> Option<Span> {
        let here = self.set.iter().rev().find(|(set, _)| *set == name).map(|(_, span)| *span);
        here.or_else(|| self.parent.as_ref()?.of(name))
    }
}

impl Places {
    /// Where the innermost of several was set.
    pub fn nearest(&self, names: &[&str]) -> Option<Span> {
        let here = self.set.iter().rev().find(|(set, _)| names.contains(set)).map(|(_, span)| *span);
        here.or_else(|| self.parent.as_ref()?.nearest(names))
    }
}

impl Scope {
    /// Where files are under these settings.
    pub fn place(&self) -> Place {
        Place { root: self.root.clone(), policy: self.open_files.policy.clone() }
    }
}

/// A whole conf, ready to serve.
pub struct Settings {
    /// What stands outside `http`.
    pub main: Arc<Scope>,
    /// The `http` block's own.
    pub http: Arc<Scope>,
    /// All servers, in the order they stand.
    pub servers: Vec<Arc<Server>>,
    /// What to listen on, and whose requests come in there.
    pub sockets: Vec<Arc<sockets::Socket>>,
    /// Where requests may be passed to.
    pub upstreams: Upstreams,
    /// The health checks of its locations.
    pub checks: Vec<Arc<checks::Checked>>,
    /// By what its zones are known again after a reload.
    pub zones: Vec<(zone::Identity, Span)>,
    /// Log files by index.
    pub logs: Vec<PathBuf>,
    /// The variables that the conf uses.
    pub variables: Arc<Variables>,
    /// Whether some text asks for the fields of the answer (`$sent_http_NAME`).
    pub keeps_sent_fields: bool,
    /// The folder that relative paths start from.
    pub prefix: Arc<PathBuf>,
    /// The conf's text, for messages that name a place.
    pub sources: Arc<Sources>,
}

impl Settings {
    /// What forbids to put it in force after the settings of before.
    pub fn conflicts(&self, before: &Settings) -> Vec<Diagnostic> {
        zone::conflicts(&before.zones, &self.zones)
    }

    /// Takes over what outlives a reload.
    pub fn inherit(&mut self, before: &Settings) {
        self.upstreams.inherit(&before.upstreams);
    }

    /// The folders that have a quota, each with that.
    pub fn stores(&self) -> Vec<(Bytes, u64)> {
        let uploads = self.scopes().into_iter().map(|scope| &scope.upload);
        uploads
            .filter_map(|upload| Some((upload.store.as_ref()?.folder.clone(), upload.quota)))
            .filter(|(_, quota)| *quota > 0)
            .collect()
    }

    /// The log files that lines can go to, by their numbers. A default that the conf overrides everywhere is none of them, so no
    /// empty file is left.
    pub fn used_logs(&self) -> HashSet<usize> {
        let number = |target: &logging::Target| match target.place {
            logging::Place::Log(number) => Some(number),
            logging::Place::Syslog(_) => None,
        };
        let mut used: HashSet<usize> = self.main.error_log.targets.iter().filter_map(number).collect();
        for scope in self.scopes() {
            used.extend(scope.error_log.targets.iter().filter_map(number));
            used.extend(scope.access_log.targets.iter().filter_map(|target| match target.file {
                access_log::Place::Log(number) => Some(number),
                access_log::Place::Path(_) | access_log::Place::Syslog(_) => None,
            }));
        }
        used
    }

    /// The settings of all servers, their locations, and what stands in those.
    pub fn scopes(&self) -> Vec<&Arc<Scope>> {
        let mut scopes = Vec::new();
        for server in &self.servers {
            scopes.push(&server.scope);
            server.locations.all().chain(server.named.values()).for_each(|location| collect(location, &mut scopes));
        }
        scopes
    }
}

fn collect<'a>(location: &'a Location, scopes: &mut Vec<&'a Arc<Scope>>) {
    scopes.push(&location.scope);
    scopes.extend(location.limit_except.iter().map(|(_, scope)| scope));
    scopes.extend(location.ifs.iter().map(|(scope, _)| scope));
    location.locations.all().for_each(|inner| collect(inner, scopes));
}
