//! The program: hands its arguments to the command line and exits with its code.

fn main() -> std::process::ExitCode {
    longshore::cli::main()
}
