//! What holds for the tables of steps and filters.

use std::collections::HashSet;

use super::*;

#[test]
fn phases_follow_each_other() {
    assert!(STEPS.is_sorted_by_key(|(phase, ..)| *phase));
    let entrances =
        [(ServerRewrite, "server not built"), (FindLocation, "location"), (Entered, "methods"), (Content, "if")];
    for (phase, name) in entrances {
        assert_eq!(STEPS[first(phase)].1, name, "{phase:?}");
    }
}

#[test]
fn names_are_unique() {
    let steps: HashSet<_> = STEPS.iter().map(|(_, name, ..)| name).collect();
    let filters: HashSet<_> = FILTERS.iter().map(|(name, ..)| name).collect();
    assert_eq!((steps.len(), filters.len()), (STEPS.len(), FILTERS.len()));
}

#[test]
fn settings_that_say_nothing_pass_few_filters() {
    let scope = Scope::default();
    let names: Vec<_> = filters_in_force(&scope).collect();
    for idle in ["cookies", "added fields", "gunzip", "sub_filter", "gzip", "gzip_vary", "debug_clients"] {
        assert!(!names.contains(&idle), "{idle} in {names:?}");
    }
}
