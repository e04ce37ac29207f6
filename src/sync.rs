//! What threads share memory by, for the files whose hand-overs are model-checked (models/): they take it from here, and the models
//! put the checker's in its place. The checker takes a sequentially consistent load or store for weaker than it is, so what two
//! threads store and then look for in each other's words is written with a fence between the two.

pub use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use crossbeam_channel as channel;

/// Words.
pub mod atomic {
    pub use std::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
        fence,
    };
}

/// Threads that sleep and are woken.
pub mod thread {
    pub use std::thread::{Thread, current, park};
}

/// How many there are of something; a model has fewer.
pub const fn scaled(count: usize, _in_models: usize) -> usize {
    count
}
