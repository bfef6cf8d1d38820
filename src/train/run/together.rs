//! A run of several processes: the first one records it, the others follow.

use super::Run;
use crate::nn::Network;
use crate::processes::Group;
use crate::tensor::{Device, Tensor};
use crate::train::Config;
use crate::train::choice::ClassWeights;
use crate::train::config::TaskConfig;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a process has that follows another.
pub(super) struct Follower {
    /// Where the first process records the run.
    leader: PathBuf,
    /// A folder of its own, for what it writes by the way.
    own: PathBuf,
}

impl Drop for Follower {
    fn drop(&mut self) {
        // What cannot be removed, the system removes some day.
        let _ = std::fs::remove_dir_all(&self.own);
    }
}

impl Run {
    /// The part that a process has in the run of `group`, whose first process records it in `folder`: a new
    /// run by `config`, or, without, one that goes on. What others than the first write by the way lies in a
    /// folder of the system's for temporary files, and is gone with this.
    ///
    /// # Errors
    /// As [`Run::create`] and [`Run::resume`]; the task should be one that several processes can share.
    pub fn together(
        group: Group,
        folder: impl AsRef<Path>,
        config: Option<Config>,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let run = match (group.leads(), config) {
            (true, Some(config)) => Self::create(folder, config)?,
            (true, None) => Self::resume(folder)?,
            (false, config) => {
                static COUNT: AtomicUsize = AtomicUsize::new(0);
                let number = COUNT.fetch_add(1, Ordering::Relaxed);
                let name = format!("zoo-tuning-{}-{number}", std::process::id());
                let own = std::env::temp_dir().join(name);
                // Of a process that was killed, and had the same number.
                let _ = std::fs::remove_dir_all(&own);
                let resumed = config.is_none();
                let config = match config {
                    Some(config) => config,
                    None => Self::resume(folder)?.config,
                };
                let run = Self::create(&own, config)?;
                let follower = Some(Follower { leader: folder.to_path_buf(), own });
                Self { follower, resumed, ..run }
            }
        };
        match &run.config.task {
            TaskConfig::Reinforcement(_) => {
                let problem = "reinforcement is learned by one process: leave out mpirun";
                return Err(Error::config("task", problem));
            }
            // Labels count by their weights and answers alike, and a batch's loss is no mean over one number.
            TaskConfig::Classification(task)
                if task.class_weights != ClassWeights::None && !task.teachers.is_empty() =>
            {
                let problem =
                    "beside teachers are for one process: leave out mpirun, or one of both";
                return Err(Error::config("task.class_weights", problem));
            }
            TaskConfig::Classification(_) | TaskConfig::Landmarks(_) => {}
        }
        Ok(Self { group: Some(group), ..run })
    }

    /// Whether this process records the run; the first of several, or the only one.
    pub fn records(&self) -> bool {
        self.follower.is_none()
    }

    /// The processes that train together, if this is one of several.
    pub(in crate::train) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Where the run is recorded, by whichever process.
    pub(super) fn recorded_in(&self) -> &Path {
        self.follower.as_ref().map_or(&self.folder, |follower| &follower.leader)
    }

    /// The values of the network's parameters and buffers are those of the first process: starts are computed by
    /// each, and processors of different kinds may round otherwise.
    pub(super) fn agree(&self, network: &mut Network<f32>) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        let parameters = network.parameters_mut();
        for id in parameters.ids().collect::<Vec<_>>() {
            let value = parameters.value(id);
            let (device, len) = (value.device(), value.len());
            let own = match group.leads() {
                true => value.to(&Device::Cpu)?.into_vec(),
                false => vec![0.0; len],
            };
            // To what is 0 elsewhere, a sum adds nothing.
            let value = Tensor::new(value.shape(), group.begin_sum(own).wait()?)?.to(&device)?;
            *parameters.value_mut(id) = value;
        }
        Ok(())
    }
}
