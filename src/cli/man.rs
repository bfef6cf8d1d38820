//! `man`: the manual, in the form that `man` shows.

use super::output::{Output, Result};
use crate::Error;
use clap::{Args, CommandFactory};
use clap_mangen::{Man, generate_to};
use std::path::PathBuf;

/// Print the manual page, or write those of all commands
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning man | man -l -                             read it
  zoo-tuning man --out ~/.local/share/man/man1          then: man zoo-tuning-train")]
pub struct Arguments {
    /// Write a page for the program and one for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let command = super::Cli::command();
    if let Some(folder) = arguments.out {
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        generate_to(command, &folder).map_err(Error::io("write into", &folder))?;
        return output.line(format!("The pages: {}", folder.display()));
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    output.line(String::from_utf8_lossy(&page))
}
