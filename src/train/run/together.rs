//! A run of several processes: the first one records it, the others follow.

use super::Run;
use crate::nn::Network;
use crate::processes::Group;
use crate::tensor::{Device, Tensor};
use crate::train::Config;
use crate::train::choice::ClassWeights;
use crate::train::config::TaskConfig;
use crate::{Error, Result};
use std::path::Path;

impl Run {
    /// The part that a process has in the run of `group`, whose first process records it in `folder`: a new
    /// run by `config`, or, without, one that goes on. The others write nothing.
    ///
    /// Where one process fails, the others wait for it: [`Group::abort`] ends them.
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
            (false, Some(config)) => Self::following(folder, config),
            (false, None) => Self::resume(folder)?,
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
        self.group.as_ref().is_none_or(Group::leads)
    }

    /// Whether the run is finished, and is not to go on for longer, as the first process sees it.
    ///
    /// # Errors
    /// If another process is gone.
    pub fn has_ended(&self) -> Result<bool> {
        self.of_first(self.is_finished())
    }

    /// What the first process says, if there are several.
    pub(in crate::train) fn of_first(&self, own: bool) -> Result<bool> {
        match &self.group {
            Some(group) => Ok(group.of_first(f64::from(u8::from(own)))? > 0.0),
            None => Ok(own),
        }
    }

    /// All processes are about to begin alike, as the numbers of `known` say, and the values of the network's
    /// parameters and buffers are those of the first: starts are computed by each, and processors of different
    /// kinds may round otherwise.
    ///
    /// # Errors
    /// If a process is not.
    pub(super) fn agree(&self, network: &mut Network<f32>, known: &[u64]) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        let parameters = network.parameters_mut();
        let sizes = [parameters.len(), parameters.trained()].map(|size| size as u64);
        let known: Vec<f64> = known.iter().chain(&sizes).map(|number| *number as f64).collect();
        let all = group.gather(&known)?;
        if let Some(rank) = all.iter().position(|of_one| *of_one != all[0]) {
            let problem = format!(
                "process {} is about to begin otherwise than the first: {:?}, expected {:?} (steps done, steps, \
                 batches and samples of an epoch, files of the data, all parameters, those that are trained); do \
                 all see the same files?",
                rank + 1,
                all[rank],
                all[0]
            );
            return Err(Error::argument("processes", problem));
        }
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
