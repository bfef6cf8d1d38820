//! The `zoo-tuning` program.

fn main() -> std::process::ExitCode {
    zoo_tuning::cli::main()
}
