//! `serve`: a page on this machine that shows what a network sees in pictures.

use super::data::ModelFile;
use super::device::DeviceOption;
use super::output::{Output, Result, message};
use crate::Error;
use crate::serve::{Limits, Sight, serve};
use clap::Args;
use serde::Serialize;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

/// Show what a network sees in pictures, on a page of this machine
///
/// Drop a picture on the page: its classes, the gates of every layer, which source spoke, and, of a
/// network in its run's folder, the nearest training samples. Only programs on this machine reach it;
/// for them, /predict answers in JSON.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning serve run/model.safetensors                 then open http://127.0.0.1:8080/
  curl --data-binary @photo.jpg http://127.0.0.1:8080/predict

Ctrl-C ends it. docs/serve.md describes the answers.")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFile,
    /// The port to listen at; 0 for any that is free
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Tell so many classes
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// The size of a picture's file, at most
    #[arg(long, value_name = "MB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    most_megabytes: u32,
    /// Seconds that a request may take to arrive
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    patience: u32,
    /// Requests that are served at once; others are turned away
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Compare with no training samples
    #[arg(long)]
    no_neighbours: bool,
    #[command(flatten)]
    device: DeviceOption,
}

#[derive(Serialize)]
struct Started {
    address: String,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let device = arguments.device.open()?;
    let address = (Ipv4Addr::LOCALHOST, arguments.port);
    let listener = TcpListener::bind(address)
        .map_err(Error::io("listen at", format!("127.0.0.1:{}", arguments.port)))?;
    let mut model = arguments.model.open()?;
    if model.landmarks()?.is_some() {
        let problem = "finds landmarks, which the page does not show yet; see predict --draw";
        return Err(Error::config(model.origin, problem).into());
    }
    model.network.parameters_mut().to(&device)?;
    let folder = Path::new(&model.origin).parent().unwrap_or(Path::new("")).to_path_buf();
    let mut sight = Sight::new(model, arguments.top as usize, &folder)?;
    if !arguments.no_neighbours
        && folder.join("config.toml").is_file()
        && let Err(error) = sight.find_neighbours(&folder)
    {
        message(format!("pictures are compared with no training samples: {error}"));
    }
    let port = listener.local_addr().map_err(Error::io("listen at", "127.0.0.1"))?.port();
    let address = format!("http://127.0.0.1:{port}/");
    if output.json {
        output.object(&Started { address })?;
    } else {
        output.line(format!("{address} (Ctrl-C ends it)"))?;
        output.finish()?;
    }
    let limits = Limits {
        body: arguments.most_megabytes as usize * 1_000_000,
        time: Duration::from_secs(arguments.patience.into()),
        connections: arguments.connections as usize,
    };
    Ok(serve(&listener, &sight, limits)?)
}
