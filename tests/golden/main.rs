//! What PyTorch computes, as numbers that its scripts in this folder wrote.

mod hrnet;
mod networks;
mod operations;
mod optimizers;
#[cfg(feature = "train")]
mod paper;
mod steps;
