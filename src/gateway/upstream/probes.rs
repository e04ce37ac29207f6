//! What health checks have found of a peer: pure counting, apart from what requests find out themselves (`max_fails`).

use std::sync::Arc;

/// A check that an upstream's servers are to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What tells it apart from other checks of the same servers, also over a reload.
    pub key: Arc<str>,
    /// Whether a server is used only once it has passed.
    pub mandatory: bool,
    /// Whether that is not asked anew after a reload.
    pub persistent: bool,
}

/// How many results in a row change what is thought of a peer.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// So many failures take it out.
    pub fails: u32,
    /// So many successes bring it back.
    pub passes: u32,
}

/// What a result has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The peer gets no more requests.
    Out,
    /// It gets requests again.
    Back,
}

/// What all checks have found of one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes(Vec<Probe>);

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    key: Arc<str>,
    /// The last result, and how many of the kind came in a row.
    passed: bool,
    row: u32,
    /// Whether it keeps the peer out.
    is_out: bool,
    /// Whether it does so only because no result is there yet.
    is_new: bool,
}

impl Probe {
    fn new(key: Arc<str>, waits: bool) -> Probe {
        Probe { key, passed: true, row: 0, is_out: waits, is_new: waits }
    }
}

impl Probes {
    /// What is known of a peer that has just come.
    pub fn fresh(checks: &[Expected]) -> Probes {
        Probes(checks.iter().map(|check| Probe::new(check.key.clone(), check.mandatory)).collect())
    }

    /// New settings are in force: checks that went keep nobody out, and mandatory ones begin anew unless they are persistent.
    pub fn renew(&mut self, checks: &[Expected]) {
        self.0.retain(|probe| {
            checks.iter().any(|check| check.key == probe.key && (!check.mandatory || check.persistent))
        });
        for check in checks {
            if !self.0.iter().any(|probe| probe.key == check.key) {
                self.0.push(Probe::new(check.key.clone(), check.mandatory));
            }
        }
    }

    /// Whether one of them keeps the peer out.
    pub fn is_out(&self) -> bool {
        self.0.iter().any(|probe| probe.is_out)
    }

    /// Notes a result. One of a check that went meanwhile counts for nothing.
    pub fn note(&mut self, key: &Arc<str>, passed: bool, needed: Needed) -> Option<Change> {
        let was_out = self.is_out();
        let probe = self.0.iter_mut().find(|probe| probe.key == *key)?;
        probe.row = if probe.passed == passed { probe.row.saturating_add(1) } else { 1 };
        probe.passed = passed;
        let was_new = std::mem::take(&mut probe.is_new);
        match passed {
            true if was_new || probe.row >= needed.passes => probe.is_out = false,
            false if probe.row >= needed.fails => probe.is_out = true,
            _ => {}
        }
        match (was_out, self.is_out()) {
            (false, true) => Some(Change::Out),
            // It was never in, and now it is known why.
            (true, true) if was_new && !passed => Some(Change::Out),
            (true, false) => Some(Change::Back),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWICE: Needed = Needed { fails: 2, passes: 3 };

    fn check(key: &str, mandatory: bool, persistent: bool) -> Expected {
        Expected { key: key.into(), mandatory, persistent }
    }

    #[test]
    fn results_count_in_a_row() {
        let (mut probes, key) = (Probes::fresh(&[check("a", false, false)]), "a".into());
        let mut changes = Vec::new();
        for passed in [false, true, false, false, false, true, true, false, true, true, true, true] {
            changes.push(probes.note(&key, passed, TWICE));
        }
        let want = [(3, Change::Out), (10, Change::Back)];
        for (n, change) in changes.into_iter().enumerate() {
            assert_eq!(change, want.iter().find(|(at, _)| *at == n).map(|(_, change)| *change), "result {n}");
        }
    }

    #[test]
    fn one_check_that_fails_is_enough() {
        let checks = [check("a", false, false), check("b", false, false)];
        let (mut probes, once) = (Probes::fresh(&checks), Needed { fails: 1, passes: 1 });
        let (one, other) = ("a".into(), "b".into());
        assert_eq!(probes.note(&one, false, once), Some(Change::Out));
        assert_eq!(probes.note(&other, false, once), None);
        assert_eq!(probes.note(&one, true, once), None);
        assert_eq!(probes.note(&other, true, once), Some(Change::Back));
    }

    #[test]
    fn mandatory_ones_wait_for_the_first_result() {
        let checks = [check("a", true, false), check("b", false, false)];
        let mut probes = Probes::fresh(&checks);
        assert!(probes.is_out());
        assert_eq!(probes.note(&"a".into(), true, TWICE), Some(Change::Back), "the first success is enough");
        let mut probes = Probes::fresh(&checks);
        assert_eq!(probes.note(&"a".into(), false, TWICE), Some(Change::Out), "and the first failure says why");
        assert_eq!(probes.note(&"a".into(), true, TWICE), None);
        assert!(!Probes::fresh(&checks[1..]).is_out());
    }

    #[test]
    fn a_reload_keeps_what_the_conf_says() {
        let once = Needed { fails: 1, passes: 1 };
        let known = |passed: bool| {
            let mut probes = Probes::fresh(&[check("a", false, false)]);
            probes.note(&"a".into(), passed, once);
            probes
        };
        for (passed, checks, is_out) in [
            (false, vec![check("a", false, false)], true),
            (true, vec![check("a", false, false)], false),
            (false, vec![check("other", false, false)], false),
            (true, vec![check("a", true, false)], true),
            (true, vec![check("a", true, true)], false),
            (false, vec![check("a", true, true)], true),
            (true, vec![check("other", true, true)], true),
        ] {
            let mut probes = known(passed);
            probes.renew(&checks);
            assert_eq!(probes.is_out(), is_out, "{passed} {checks:?}");
            // What was under way before the reload says nothing where nobody asks for it any more.
            if checks.iter().all(|check| &*check.key != "a") {
                assert_eq!(probes.note(&"a".into(), false, once), None);
                assert_eq!(probes.is_out(), is_out, "{passed} {checks:?}");
            }
        }
    }
}
