//! Rounds in which servers take turns, so that a machine's drift hits all of them, and medians of what they gave.
//! It must not know which figures are wished for.

use std::io;

use crate::contestant::Contestant;
use crate::load::{Load, Run, Wrk};

/// The runs of each server, in the order in which the servers were given; one run per round.
pub struct Rounds {
    runs: Vec<Vec<Run>>,
}

/// The middle of several ratios, with the least and the greatest.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Ratio {
    fn of(mut all: Vec<f64>) -> Ratio {
        all.sort_by(f64::total_cmp);
        Ratio {
            median: middle(&all),
            least: all.first().copied().unwrap_or(f64::NAN),
            greatest: all.last().copied().unwrap_or(f64::NAN),
        }
    }
}

impl Rounds {
    /// One run of each server that is not counted, then `rounds` rounds.
    pub fn run(wrk: &Wrk, load: &Load, servers: &[&Contestant], rounds: usize) -> io::Result<Rounds> {
        for server in servers {
            wrk.run(&Load { seconds: 1, ..load.clone() }, server)?;
        }
        let mut runs = vec![Vec::with_capacity(rounds); servers.len()];
        for _ in 0..rounds {
            for (server, of_server) in servers.iter().zip(&mut runs) {
                of_server.push(wrk.run(load, server)?);
            }
        }
        Ok(Rounds { runs })
    }

    /// Rounds whose runs were made elsewhere: for each server as many as for the others.
    pub fn from_runs(runs: Vec<Vec<Run>>) -> Rounds {
        Rounds { runs }
    }

    /// Median of `a`'s figure over `b`'s in the same round.
    pub fn ratio(&self, a: usize, b: usize, figure: impl Fn(&Run) -> f64) -> Ratio {
        Ratio::of(self.runs[a].iter().zip(&self.runs[b]).map(|(a, b)| figure(a) / figure(b).max(1e-9)).collect())
    }

    /// Median of what `a`'s figure gains from its second server to its first, over what `b`'s gains in the same round.
    pub fn gain(&self, a: (usize, usize), b: (usize, usize), figure: impl Fn(&Run) -> f64) -> Ratio {
        let gains = |(with, without): (usize, usize)| -> Vec<f64> {
            self.runs[with]
                .iter()
                .zip(&self.runs[without])
                .map(|(with, without)| figure(with) - figure(without))
                .collect()
        };
        Ratio::of(gains(a).iter().zip(gains(b)).map(|(a, b)| a / b.max(1e-9)).collect())
    }

    /// Median over the rounds of one server's figure.
    pub fn median(&self, server: usize, figure: impl Fn(&Run) -> f64) -> f64 {
        let mut all: Vec<f64> = self.runs[server].iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        middle(&all)
    }

    /// The worst of one server's figure.
    pub fn worst(&self, server: usize, figure: impl Fn(&Run) -> f64) -> f64 {
        self.runs[server].iter().map(figure).fold(0.0, f64::max)
    }

    /// All errors of one server.
    pub fn errors(&self, server: usize) -> u64 {
        self.runs[server].iter().map(|run| run.errors).sum()
    }
}

/// Of sorted values; not a number when there are none.
fn middle(sorted: &[f64]) -> f64 {
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (count, half) if count % 2 == 0 => f64::midpoint(sorted[half - 1], sorted[half]),
        (_, half) => sorted[half],
    }
}
