//! `completions`: what a shell completes after `zoo-tuning`.

use super::output::{Output, Result};
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

/// Print what makes a shell complete commands, options and their values
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning completions bash > ~/.local/share/bash-completion/completions/zoo-tuning
  zoo-tuning completions fish > ~/.config/fish/completions/zoo-tuning.fish
  zoo-tuning completions zsh > ~/.zfunc/_zoo-tuning      with fpath+=~/.zfunc before compinit")]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Cli::command(), "zoo-tuning", &mut script);
    output.line(String::from_utf8_lossy(&script))
}
