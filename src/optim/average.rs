//! The moving average of a network's parameters.

use crate::nn::{Parameters, Role};
use crate::tensor::{Device, Element, State, Tensor};
use crate::{Error, Result};
use std::mem;

/// An exponential moving average of all parameters, which often generalises better than the
/// newest ones (Polyak and Juditsky, 1992; in this form as timm's `ModelEmaV3`).
///
/// It begins as the parameters, and after each step of the optimizer
///
/// ```text
/// average = d average + (1 - d) parameter
/// ```
///
/// Buffers, such as running statistics, are averages already: their newest values are taken over.
///
/// ```
/// # use zoo_tuning::{nn::*, tensor::Tensor, Result};
/// # use zoo_tuning::optim::WeightAverage;
/// # fn main() -> Result<()> {
/// # let mut network = Network::<f32>::drawn(&Design::named("resnet_small", 1, 2)?, 1)?;
/// let mut average = WeightAverage::new(network.parameters(), 0.999)?;
/// // after each step
/// average.update(network.parameters())?;
/// // to evaluate, by a pass over the averages...
/// let mut pass = Pass::evaluate(average.parameters());
/// let x = pass.input(Tensor::full(&[4, 1, 8, 8], 1.0));
/// let logits = network.forward(&mut pass, x)?;
/// // ...or with a whole network, whose parameters trade places with them
/// average.swap(network.parameters_mut())?;
/// // evaluate here
/// average.swap(network.parameters_mut())?;
/// # Ok(())
/// # }
/// ```
pub struct WeightAverage<T> {
    decay: f64,
    average: Parameters<T>,
}

impl<T: Element> WeightAverage<T> {
    /// An average that begins as `parameters` and keeps the share `decay` of itself at every step:
    /// it reaches back some `1 / (1 - decay)` steps. No values are copied until either changes.
    ///
    /// # Errors
    /// If `decay` is not from 0 to 1.
    pub fn new(parameters: &Parameters<T>, decay: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&decay) {
            let problem = format!("a decay of {decay} is not from 0 to 1");
            return Err(Error::argument("WeightAverage::new", problem));
        }
        let mut average = Parameters::default();
        for id in parameters.ids() {
            let value = parameters.value(id).clone();
            average.add(parameters.name(id), parameters.role(id), value)?;
        }
        Ok(Self { decay, average })
    }

    /// Takes in the parameters after a step.
    ///
    /// # Errors
    /// If they are not the network's that this is the average of, or elsewhere, and nothing is
    /// changed then; or if a device refuses.
    pub fn update(&mut self, parameters: &Parameters<T>) -> Result<()> {
        self.check(parameters)?;
        let factors = [self.decay, 1.0 - self.decay].map(T::from_f64);
        for id in parameters.ids() {
            let (average, value) = (self.average.value_mut(id), parameters.value(id));
            *average = match parameters.role(id) {
                Role::Buffer => value.clone(),
                _ => value.device().engine().blend(factors, average, value)?,
            };
        }
        Ok(())
    }

    /// The averages, under the numbers and names of the parameters.
    pub fn parameters(&self) -> &Parameters<T> {
        &self.average
    }

    /// The averages trade places with `parameters`, so that a network computes with them; a second
    /// call trades back. Nothing is copied.
    ///
    /// # Errors
    /// If these are not the parameters of the network that this is the average of, or elsewhere.
    pub fn swap(&mut self, parameters: &mut Parameters<T>) -> Result<()> {
        self.check(parameters)?;
        for id in parameters.ids() {
            mem::swap(self.average.value_mut(id), parameters.value_mut(id));
        }
        Ok(())
    }

    /// The averages by name, buffers too; no values are copied.
    pub fn state(&self) -> State<T> {
        self.average.state("the moving average")
    }

    /// Takes up what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// If it is of another network. Nothing is changed then.
    pub fn load(&mut self, state: &State<T>) -> Result<()> {
        self.average.load(state)
    }

    /// Brings the averages to where the parameters are.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn to(&mut self, device: &Device) -> Result<()> {
        self.average.to(device)
    }

    /// An error unless each of `parameters` has its average in the same place.
    fn check(&self, parameters: &Parameters<T>) -> Result<()> {
        const OPERATION: &str = "WeightAverage";
        let [own, others] = [self.average.len(), parameters.len()];
        if own != others {
            let problem = format!("it has {own} tensors, the network {others}");
            return Err(Error::argument(OPERATION, problem));
        }
        for id in parameters.ids() {
            let name = parameters.name(id);
            if name != self.average.name(id) {
                let problem = format!("{name} stands where it has {}", self.average.name(id));
                return Err(Error::argument(OPERATION, problem));
            }
            let [own, other]: [&Tensor<T>; 2] = [self.average.value(id), parameters.value(id)];
            if own.shape() != other.shape() {
                let expected = format!("{:?}, like its average", own.shape());
                return Err(Error::shape(OPERATION, name, expected, other.shape()));
            }
            Device::of(OPERATION, [own, other])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Id;

    /// A weight of values that no average is shared by, and a buffer.
    fn parameters(weight: f64, mean: f64) -> Parameters<f64> {
        let mut parameters = Parameters::default();
        parameters.add("weight", Role::Head, Tensor::full(&[3], weight)).unwrap();
        parameters.add("mean", Role::Buffer, Tensor::full(&[2], mean)).unwrap();
        parameters
    }

    fn values(parameters: &Parameters<f64>) -> [f64; 2] {
        [0, 1].map(|index| parameters.value(Id::from_index(index)).as_slice()[0])
    }

    #[test]
    fn an_average_is_the_sum_that_its_formula_unrolls_to() {
        let (decay, weights) = (0.9f64, [2.0, -1.0, 4.0, 0.5]);
        let mut parameters = parameters(3.0, 0.0);
        let mut average = WeightAverage::new(&parameters, decay).unwrap();
        for weight in weights {
            parameters.value_mut(Id::from_index(0)).as_mut_slice().fill(weight);
            parameters.value_mut(Id::from_index(1)).as_mut_slice().fill(10.0 * weight);
            average.update(&parameters).unwrap();
        }
        // d^4 w_0 + (1 - d) sum_t d^(4 - t) w_t
        let ages = weights.iter().rev().zip(0..);
        let sum: f64 = ages.map(|(weight, age)| weight * decay.powi(age)).sum();
        let expected = decay.powi(4) * 3.0 + (1.0 - decay) * sum;
        let [weight, mean] = values(average.parameters());
        assert!((weight - expected).abs() < 1e-15, "{weight} {expected}");
        assert_eq!(mean, 5.0, "a buffer is taken over");
        assert_eq!(values(&parameters), [0.5, 5.0], "the network does not change");
    }

    #[test]
    fn averages_trade_places_with_parameters_and_back() {
        let mut average = WeightAverage::new(&parameters(1.0, 2.0), 0.5).unwrap();
        let mut network = parameters(3.0, 4.0);
        average.swap(&mut network).unwrap();
        assert_eq!(values(&network), [1.0, 2.0]);
        assert_eq!(values(average.parameters()), [3.0, 4.0]);
        average.swap(&mut network).unwrap();
        average.update(&network).unwrap();
        assert_eq!(values(average.parameters()), [2.0, 4.0]);
    }

    #[test]
    fn an_average_goes_on_from_its_state() {
        let mut first = WeightAverage::new(&parameters(1.0, 2.0), 0.5).unwrap();
        first.update(&parameters(3.0, 4.0)).unwrap();
        let mut second = WeightAverage::new(&parameters(0.0, 0.0), 0.5).unwrap();
        second.load(&first.state()).unwrap();
        for average in [&mut first, &mut second] {
            average.update(&parameters(5.0, 6.0)).unwrap();
            assert_eq!(values(average.parameters()), [3.5, 6.0]);
        }
        assert!(second.load(&State::new("nothing")).is_err());
    }

    #[test]
    fn what_is_another_networks_is_refused() {
        let mut average = WeightAverage::new(&parameters(1.0, 2.0), 0.5).unwrap();
        let mut more = parameters(3.0, 4.0);
        more.add("bias", Role::Head, Tensor::zeros(&[1])).unwrap();
        let mut named = Parameters::default();
        named.add("weight", Role::Head, Tensor::zeros(&[3])).unwrap();
        named.add("variance", Role::Buffer, Tensor::zeros(&[2])).unwrap();
        let mut shaped = Parameters::default();
        shaped.add("weight", Role::Head, Tensor::zeros(&[3])).unwrap();
        shaped.add("mean", Role::Buffer, Tensor::zeros(&[1])).unwrap();
        for mut other in [more, named, shaped] {
            assert!(average.update(&other).is_err() && average.swap(&mut other).is_err());
        }
        assert_eq!(values(average.parameters()), [1.0, 2.0]);
        for decay in [-0.1, 1.1, f64::NAN] {
            assert!(WeightAverage::new(&parameters(1.0, 2.0), decay).is_err());
        }
    }
}
