//! Models of the engine's hand-overs: the files themselves, with the checker's words and locks in the place of the standard library's.
//! Every order of the threads is tried, up to so many preemptions, and every value that a weak load may see. A lost wake-up is a
//! deadlock or a failed assertion, a connection with two owners an assertion. `cargo run --manifest-path models/Cargo.toml`.

mod kernel;
mod models;
mod sync;

// The files as they stand in the server; what of them no model needs is not missed.
#[allow(dead_code)]
#[path = "../../src/server"]
mod server {
    pub use crate::kernel::{alarm, news, pauses};

    pub mod bells;
    mod chunks;
    mod marks;
    pub mod pool;
    pub mod ready;
    pub mod slot;
}

/// What bells know of requests.
mod exchange {
    pub mod engine {
        use std::io;
        use std::os::fd::BorrowedFd;

        #[allow(dead_code)]
        pub trait Bell: Send + Sync + std::fmt::Debug {
            fn wakes(&self, connection: Option<usize>);
            fn has_news(&self) -> bool;
            fn take_news(&self) -> bool;
            fn leave_news(&self);
            fn watch_room(&self, socket: BorrowedFd<'_>) -> io::Result<()>;
        }
    }
}

fn main() {
    let only = std::env::args().nth(1);
    for (name, preemptions, model) in models::ALL {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let begun = std::time::Instant::now();
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(*preemptions);
        builder.check(*model);
        println!("model {name} ... ok ({:.1} s)", begun.elapsed().as_secs_f64());
    }
}
