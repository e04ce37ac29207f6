//! The program: hands its arguments to the command line and exits with its code.

/// What one worker allocates another often frees, since whoever hears of news goes on with a request. The C library takes a lock for
/// that, and workers then wait for each other; this allocator does not.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    longshore::cli::main()
}
