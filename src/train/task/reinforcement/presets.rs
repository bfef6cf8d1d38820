//! Published settings of agents, and the networks that they usually have.

/// The network for frames of that height and width: of small boards that of Young and Tian (2019), else
/// that of the data-efficient Rainbow where outputs are distributions, and of Mnih et al. (2015) where they
/// are values.
pub(super) fn usual_architecture([height, width]: [usize; 2], is_distributional: bool) -> String {
    /// Below it, strides of 4 and 2 leave nothing.
    const SMALL: usize = 36;
    /// Below it, there is no window of 3x3.
    const LEAST: usize = 3;
    match [height, width] {
        [10, 10] => "convnet_minatar".to_owned(),
        [84, 84] if is_distributional => "convnet_rainbow".to_owned(),
        [84, 84] => "convnet_atari".to_owned(),
        [h, w] if h.min(w) < LEAST => format!("convnet:{h}x{w}:128-128"),
        [h, w] if h.min(w) < SMALL => format!("convnet:{h}x{w}:16x3-128"),
        [h, w] => format!("convnet:{h}x{w}:32x8s4-64x4s2-64x3-512"),
    }
}

/// A published agent.
pub struct AgentPreset {
    /// The keys that it sets, as TOML.
    pub text: &'static str,
}

impl AgentPreset {
    /// Of small boards: DQN with the Adam of Dopamine's agents for MinAtar (`labs/environments/minatar`:
    /// 2.5e-4, epsilon 3.125e-4, an update every 4 steps, the target network every 1000).
    pub const MINATAR: Self = Self {
        text: "[task]\nname = 'reinforcement'\nlearning_starts = 1000\ntrain_every = 4\n\
               target_every = 1000\nreplay = 100000\ndouble = false\nepsilon_end = 0.01\n\
               epsilon_steps = 100000\n\
               [optimizer]\nrule = 'adam'\nlearning_rate = 2.5e-4\nepsilon = 3.125e-4\n\
               weight_decay = 0.0\nschedule = 'constant'\nbatch = 32\n\
               [record]\nlog_every = 500\ncheckpoint_every = 10000\n",
    };

    /// Mnih et al. (2015), with the optimizer of Dopamine's `dqn_nature`.
    pub const DQN: Self = Self {
        text: "[task]\nname = 'reinforcement'\ntotal_steps = 10000000\nlearning_starts = 50000\n\
               train_every = 4\ntarget_every = 10000\nreplay = 1000000\ndouble = false\n\
               epsilon_end = 0.1\nepsilon_steps = 1000000\nclip_rewards = true\nlife_loss = true\n\
               sticky = 0.0\ntest_epsilon = 0.05\n\
               [optimizer]\nrule = 'rmsprop'\nlearning_rate = 2.5e-4\nalpha = 0.95\n\
               momentum = 0.0\nepsilon = 1e-5\ncentred = true\nweight_decay = 0.0\n\
               schedule = 'constant'\nbatch = 32\n\
               [record]\nlog_every = 1000\ncheckpoint_every = 25000\n",
    };

    /// The data-efficient Rainbow of van Hasselt, Hessel and Aslanides (2019), as Kaixhin's Rainbow has
    /// it. Its head is noisy; its hidden layer belongs to the zoo, and is not.
    pub const DATA_EFFICIENT_RAINBOW: Self = Self {
        text: "[task]\nname = 'reinforcement'\ntotal_steps = 100000\nlearning_starts = 1600\n\
               train_every = 1\ntarget_every = 2000\nreplay = 100000\nn_step = 20\ndouble = true\n\
               dueling = true\natoms = 51\nreturns = [-10.0, 10.0]\nprioritized = 0.5\n\
               importance = 0.4\nnoisy = 0.1\nepsilon_end = 0.0\nepsilon_steps = 2000\nclip_rewards = true\n\
               life_loss = true\nsticky = 0.0\n\
               [optimizer]\nrule = 'adam'\nlearning_rate = 1e-4\nepsilon = 1.5e-4\n\
               weight_decay = 0.0\nschedule = 'constant'\nbatch = 32\nclip_norm = 10.0\n\
               [record]\nlog_every = 500\ncheckpoint_every = 5000\n",
    };
}
