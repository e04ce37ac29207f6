//! The health checks of a conf: which location asks which upstream. Known only once a location stands with all that it inherits.

use std::collections::HashMap;
use std::sync::Arc;

use super::Scope;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::features::health_check::Check;
use crate::gateway::upstream::probes::Expected;
use crate::route::{Location, Server};

/// A location that has the servers of its upstream checked.
pub struct Checked {
    /// What is asked, and how often.
    pub check: Arc<Check>,
    /// What tells it apart from other checks, also over a reload.
    pub key: Arc<str>,
    /// The index of the upstream.
    pub upstream: usize,
    /// The location's server.
    pub server: Arc<Server>,
    /// The location.
    pub location: Arc<Location>,
    /// Its settings as a check goes by them: what comes back is judged as it is.
    pub scope: Arc<Scope>,
}

/// What is expected of the upstreams, by their names in lower case.
pub type Expectations = HashMap<String, Vec<Expected>>;

/// The checks of all locations. One that names no upstream by its name becomes a diagnostic.
pub fn find(
    servers: &[Arc<Server>],
    names: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Arc<Checked>>, Expectations) {
    let (mut found, mut expected) = (Vec::new(), Expectations::new());
    for server in servers {
        let mut locations = Vec::new();
        server.locations.all().chain(server.named.values()).for_each(|location| collect(location, &mut locations));
        for location in locations {
            let Some(check) = &location.scope.health_check.check else { continue };
            let name = location
                .scope
                .proxy
                .fixed_host()
                .map(|(host, index)| (String::from_utf8_lossy(host).to_ascii_lowercase(), index));
            let Some((name, upstream)) = name.filter(|(name, _)| names.contains(name)) else {
                diagnostics.push(lost(location));
                continue;
            };
            let test = check.test.as_ref().map_or("", |(name, _)| name);
            let port = check.port.unwrap_or_default();
            let uri = String::from_utf8_lossy(&check.uri);
            let at = String::from_utf8_lossy(&server.name);
            let key: Arc<str> = format!("{at} {} {uri} {port} {test}", location.matcher_text()).into();
            let of_upstream = expected.entry(name).or_default();
            of_upstream.push(Expected { key: key.clone(), mandatory: check.mandatory, persistent: check.persistent });
            let (check, server, location, scope) =
                (check.clone(), server.clone(), location.clone(), its_scope(location));
            found.push(Arc::new(Checked { check, key, upstream, server, location, scope }));
        }
    }
    (found, expected)
}

fn collect<'a>(location: &'a Arc<Location>, into: &mut Vec<&'a Arc<Location>>) {
    into.push(location);
    location.locations.all().for_each(|inner| collect(inner, into));
}

/// No error page stands for what comes back, and no field of it leads elsewhere.
fn its_scope(location: &Location) -> Arc<Scope> {
    let mut scope = (*location.scope).clone();
    scope.error_page = Arc::default();
    Arc::make_mut(&mut scope.proxy).take_as_it_is();
    Arc::new(scope)
}

fn lost(location: &Location) -> Diagnostic {
    let span = location.scope.places.of("health_check").unwrap_or_default();
    let text = "`health_check` has no upstream to check: its location passes requests to none by `proxy_pass`";
    Diagnostic::error(span, text)
        .code(Code::UnknownUpstream)
        .help("write `proxy_pass http://NAME;` beside it, where `NAME` is an `upstream` block; no variable may stand in the URL")
}
