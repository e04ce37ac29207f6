//! When health checks are sent: each server of an upstream at its interval, none while its last check is under way. Knows neither what
//! is asked nor what comes of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::time::Duration;

use super::current::Current;
use super::logfile::Logs;
use super::slot::NEVER;
use crate::exchange::engine::Engine;
use crate::gateway::upstream::{Target, Upstream};
use crate::pipeline::Run;
use crate::settings::Settings;
use crate::settings::checks::Checked;

/// How often an upstream is looked at for servers that came or went, in milliseconds.
const LOOK: u64 = 1000;

/// All checks of the settings in force.
pub struct Checks {
    link: Arc<dyn Engine>,
    list: Vec<Checker>,
    /// When there is something to do next.
    next: u64,
}

/// One check of all servers of its upstream.
struct Checker {
    checked: Arc<Checked>,
    settings: Arc<Settings>,
    logs: Arc<Logs>,
    upstream: Arc<Upstream>,
    servers: HashMap<Target, Server>,
}

/// One server.
struct Server {
    /// When it is checked next.
    due: u64,
    /// Whether a check of it is under way.
    running: Arc<AtomicBool>,
    /// It alone.
    alone: Arc<Upstream>,
}

impl Checks {
    /// No checks.
    pub fn new(link: Arc<dyn Engine>) -> Checks {
        Checks { link, list: Vec::new(), next: NEVER }
    }

    /// What wakes a check.
    pub fn link(&self) -> Arc<dyn Engine> {
        self.link.clone()
    }

    /// When there is something to do next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// None any more.
    pub fn end(&mut self) {
        (self.list, self.next) = (Vec::new(), NEVER);
    }

    /// Takes the checks of new settings. One of a server that was checked before goes on in its time.
    pub fn take(&mut self, current: &Current) {
        let mut before = std::mem::take(&mut self.list);
        for checked in &current.settings.checks {
            let Some(upstream) = current.settings.upstreams.at(checked.upstream).cloned() else { continue };
            let is_it = |old: &Checker| old.checked.key == checked.key && old.upstream.name == upstream.name;
            let old = before.iter().position(is_it).map(|at| before.swap_remove(at));
            let servers = old.filter(|old| old.checked.check.keepalive == checked.check.keepalive);
            let mut servers = servers.map_or_else(HashMap::new, |old| old.servers);
            if checked.check.mandatory && !checked.check.persistent {
                // Nobody gets requests before.
                servers.values_mut().for_each(|server| server.due = 0);
            }
            let (settings, logs) = (current.settings.clone(), current.logs.clone());
            self.list.push(Checker { checked: checked.clone(), settings, logs, upstream, servers });
        }
        self.next = if self.list.is_empty() { NEVER } else { 0 };
    }

    /// The checks that are due, each with the log files of its settings. None of them is due again before its interval is over.
    pub fn due(&mut self, now: u64) -> Vec<(Run, Arc<Logs>)> {
        let mut runs = Vec::new();
        self.next = if self.list.is_empty() { NEVER } else { now + LOOK };
        for checker in &mut self.list {
            checker.due(now, &mut runs);
            self.next = checker.servers.values().map(|server| server.due).fold(self.next, u64::min);
        }
        runs
    }
}

impl Checker {
    fn due(&mut self, now: u64, runs: &mut Vec<(Run, Arc<Logs>)>) {
        let Checker { checked, settings, logs, upstream, servers } = self;
        let (check, targets) = (&checked.check, upstream.targets());
        servers.retain(|target, _| targets.contains(target));
        for target in targets {
            let server = servers.entry(target.clone()).or_insert_with(|| Server {
                due: now + jitter(check.jitter),
                running: Arc::default(),
                alone: upstream.alone(&target, check.port, check.keepalive),
            });
            if server.due > now {
                continue;
            }
            // A mandatory one is awaited after a reload: it is looked at again soon where the check of before is under way.
            if server.running.swap(true, AcqRel) {
                server.due = now + millis(check.interval).min(LOOK);
                continue;
            }
            server.due = now + millis(check.interval) + jitter(check.jitter);
            let run = Run::of_check((checked, settings), (upstream, target, &server.alone), server.running.clone());
            runs.extend(run.map(|run| (run, logs.clone())));
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER / 2).min(NEVER / 4)
}

/// A part of this time, at random.
fn jitter(most: Duration) -> u64 {
    match millis(most) {
        0 => 0,
        most => fastrand::u64(0..=most),
    }
}
