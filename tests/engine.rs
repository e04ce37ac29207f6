//! The engine under load, in trouble and under attack: the built binary, started afresh for each test. The tests
//! wait for conditions, never for a time; what is measured is compared with the same machine a moment before.

#[path = "../benches/figures/attack.rs"]
mod attack;

#[path = "engine/bodies.rs"]
mod bodies;
#[path = "engine/client.rs"]
mod client;
#[path = "engine/clients.rs"]
mod clients;
#[path = "engine/control.rs"]
mod control;
#[path = "engine/files.rs"]
mod files;
#[path = "engine/filters.rs"]
mod filters;
#[path = "engine/folders.rs"]
mod folders;
#[path = "engine/full.rs"]
mod full;
#[path = "engine/growth.rs"]
mod growth;
#[path = "engine/health.rs"]
mod health;
#[path = "engine/limits.rs"]
mod limits;
#[path = "engine/logs.rs"]
mod logs;
#[path = "engine/mirrors.rs"]
mod mirrors;
#[path = "engine/names.rs"]
mod names;
#[path = "engine/orphans.rs"]
mod orphans;
#[path = "engine/passwords.rs"]
mod passwords;
#[path = "support/ports.rs"]
mod ports;
#[path = "engine/programs.rs"]
mod programs;
#[path = "engine/regexes.rs"]
mod regexes;
#[path = "engine/relay_bounds.rs"]
mod relay_bounds;
#[path = "engine/relays.rs"]
mod relays;
#[path = "engine/reload.rs"]
mod reload;
#[path = "engine/rights.rs"]
mod rights;
#[path = "engine/scripts.rs"]
mod scripts;
#[path = "engine/secrets.rs"]
mod secrets;
#[path = "engine/site.rs"]
mod site;
#[path = "engine/slow.rs"]
mod slow;
#[path = "engine/status.rs"]
mod status;
#[path = "engine/stop.rs"]
mod stop;
#[path = "engine/stores.rs"]
mod stores;
#[path = "engine/subrequests.rs"]
mod subrequests;
#[path = "engine/tags.rs"]
mod tags;
#[path = "engine/tls.rs"]
mod tls;
#[path = "engine/tls_attacks.rs"]
mod tls_attacks;
#[path = "engine/trees.rs"]
mod trees;
#[path = "support/trusting.rs"]
mod trusting;
#[path = "engine/uploads.rs"]
mod uploads;
#[path = "engine/verdicts.rs"]
mod verdicts;
