//! The demo's agents, inside of the program.

use crate::Result;
use crate::demo::write;
use std::path::{Path, PathBuf};

/// The games that the agents know.
pub const SOURCES: [&str; 3] = ["catch", "bricks", "cross"];

/// The games that they are tuned to.
pub const TARGETS: [&str; 1] = ["dive"];

/// A game that is left: within the demo's steps no way learns it, so that it would tell nothing.
#[cfg(test)]
const LEFT: &str = "collect";

/// The game that settings were chosen on.
pub const SETTING: &str = "invade";

const AGENTS: [&[u8]; 3] = [
    include_bytes!("../../../data/games/catch.safetensors"),
    include_bytes!("../../../data/games/bricks.safetensors"),
    include_bytes!("../../../data/games/cross.safetensors"),
];

/// Writes the agents to `out`; their files.
///
/// # Errors
/// If one cannot be written.
pub(super) fn sources(out: &Path) -> Result<Vec<PathBuf>> {
    let of = |(name, content): (&str, &[u8])| {
        let path = out.join("zoo").join(format!("{name}.safetensors"));
        write(&path, content)?;
        Ok(path)
    };
    SOURCES.into_iter().zip(AGENTS).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::games;
    use crate::train::Model;

    #[test]
    fn the_agents_are_of_their_games_and_know_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let files = sources(folder.path()).unwrap();
        for (file, game) in files.iter().zip(SOURCES) {
            let model = Model::open(file, None).unwrap();
            assert_eq!(model.agent().unwrap().unwrap().environment, game);
        }
        let all = games().iter().map(|game| game.name);
        let used: Vec<&str> = SOURCES.into_iter().chain(TARGETS).chain([SETTING, LEFT]).collect();
        assert!(all.clone().all(|name| used.iter().filter(|other| **other == name).count() == 1));
        assert_eq!(all.count(), used.len());
    }
}
