//! What a process and its children cost, read from /proc: CPU time, memory, descriptors, threads.
//! It must not know which processes it counts. A process that ends while it is counted counts as nothing.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a process tree holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    pub descriptors: usize,
    pub threads: usize,
    /// Proportional set size: memory that several processes share counts once over all of them.
    pub pss_kib: u64,
}

impl fmt::Display for Holdings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} descriptors, {} threads, PSS {} KiB", self.descriptors, self.threads, self.pss_kib)
    }
}

/// The process and everything below it, parents before their children.
pub fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        for task in entries(&format!("/proc/{id}/task")) {
            let children = fs::read_to_string(format!("/proc/{id}/task/{task}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// Time on a CPU, user and kernel, of every thread of the tree. schedstat counts in nanoseconds, where stat counts in
/// ticks of 10 ms; a process's own file covers its first thread only, so the threads are summed.
pub fn cpu(root: u32) -> Duration {
    let mut total = 0;
    for id in tree(root) {
        for task in entries(&format!("/proc/{id}/task")) {
            let text = fs::read_to_string(format!("/proc/{id}/task/{task}/schedstat")).unwrap_or_default();
            total += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Duration::from_nanos(total)
}

/// Descriptors, threads and memory of the tree.
pub fn holdings(root: u32) -> Holdings {
    let mut sum = Holdings { descriptors: 0, threads: 0, pss_kib: 0 };
    for id in tree(root) {
        sum.descriptors += entries(&format!("/proc/{id}/fd")).len();
        sum.threads += entries(&format!("/proc/{id}/task")).len();
        sum.pss_kib += pss_kib(id);
    }
    sum
}

/// The memory of the tree alone, for who asks often.
pub fn memory_kib(root: u32) -> u64 {
    tree(root).into_iter().map(pss_kib).sum()
}

fn pss_kib(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn entries(folder: &str) -> Vec<String> {
    let Ok(list) = fs::read_dir(Path::new(folder)) else { return Vec::new() };
    list.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
