//! What lies between a backward pass and the optimizer.

use super::{Id, Parameters};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// What a training pass leaves: gradients for the optimizer, new values for the buffers.
///
/// The gradients can be read and changed before the optimizer takes them, and those of several
/// passes added up: here of two halves of a batch, whose mean is then clipped.
///
/// ```
/// # use zoo_tuning::{nn::*, ops, tensor::Tensor, Result};
/// # use zoo_tuning::optim::{Groups, Optimizer, Rule};
/// # fn main() -> Result<()> {
/// # let mut network = Network::<f32>::drawn(&Design::named("resnet_small", 1, 2)?, 1)?;
/// # let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(0.0));
/// let backward = |network: &Network<f32>, labels: &[usize]| -> Result<Step<f32>> {
///     let mut pass = Pass::train(network.parameters());
///     let x = pass.input(Tensor::full(&[2, 1, 8, 8], 1.0));
///     let logits = network.forward(&mut pass, x)?;
///     let loss = ops::cross_entropy(pass.tape(), logits, labels, 0.0)?;
///     pass.backward(loss)
/// };
/// let mut step = backward(&network, &[0, 1])?;
/// step.update_buffers(network.parameters_mut()); // so that the next pass goes on from them
/// step.add(backward(&network, &[1, 1])?)?;
/// step.scale(0.5)?;
/// let norm = step.clip_norm(1.0)?; // as it was
/// # assert!(norm > 0.0);
/// optimizer.step(network.parameters_mut(), step, 0.01)?;
/// # Ok(())
/// # }
/// ```
pub struct Step<T> {
    /// By parameter.
    gradients: Vec<Option<Tensor<T>>>,
    updates: Vec<(Id, Tensor<T>)>,
}

impl<T: Element> Step<T> {
    pub(super) fn new(gradients: Vec<Option<Tensor<T>>>, updates: Vec<(Id, Tensor<T>)>) -> Self {
        Self { gradients, updates }
    }

    /// The gradient of a parameter, unless the loss does not depend on it.
    pub fn gradient(&self, id: Id) -> Option<&Tensor<T>> {
        self.gradients.get(id.index())?.as_ref()
    }

    /// The same, to be changed. Its shape should stay the parameter's.
    pub fn gradient_mut(&mut self, id: Id) -> Option<&mut Tensor<T>> {
        self.gradients.get_mut(id.index())?.as_mut()
    }

    /// Gives a parameter this gradient, or none.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn set_gradient(&mut self, id: Id, gradient: Option<Tensor<T>>) -> Result<()> {
        let count = self.gradients.len();
        let place = self.gradients.get_mut(id.index()).ok_or_else(|| {
            let problem = format!("parameter {} of {count}", id.index());
            Error::argument("Step::set_gradient", problem)
        })?;
        *place = gradient;
        Ok(())
    }

    /// All gradients that there are, in the order of the parameters.
    pub fn gradients(&self) -> impl Iterator<Item = (Id, &Tensor<T>)> {
        let with_ids = self.gradients.iter().enumerate();
        with_ids.filter_map(|(index, gradient)| Some((Id::from_index(index), gradient.as_ref()?)))
    }

    /// Multiplies all gradients by `factor`.
    ///
    /// # Errors
    /// If a device that they are on refuses.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        for gradient in self.gradients.iter_mut().flatten() {
            gradient.device().engine().scale_in_place(gradient, T::from_f64(factor))?;
        }
        Ok(())
    }

    /// Adds the gradients of another pass over the same parameters, for a batch that is computed
    /// in parts. The buffers take the other pass's values, which do not build on this one's unless
    /// [`update_buffers`](Self::update_buffers) came between the two.
    ///
    /// # Errors
    /// If the other gradients are those of other parameters or elsewhere, and nothing is changed
    /// then; or if a device refuses.
    pub fn add(&mut self, other: Self) -> Result<()> {
        if self.gradients.len() != other.gradients.len() {
            let [own, others] = [self, &other].map(|step| step.gradients.len());
            let problem = format!("one step is of {own} parameters, the other of {others}");
            return Err(Error::argument("Step::add", problem));
        }
        for (own, other) in self.gradients.iter().zip(&other.gradients) {
            if let (Some(own), Some(other)) = (own, other) {
                Device::of("Step::add", [own, other])?;
                if own.shape() != other.shape() {
                    let expected = format!("{:?}, as it has here", own.shape());
                    return Err(Error::shape("Step::add", "gradient", expected, other.shape()));
                }
            }
        }
        for (own, other) in self.gradients.iter_mut().zip(other.gradients) {
            match (own, other) {
                (Some(own), Some(other)) => own.device().engine().add_to(own, &other)?,
                (own @ None, other) => *own = other,
                (Some(_), None) => {}
            }
        }
        self.updates.extend(other.updates);
        Ok(())
    }

    /// Adds the sum of some gradients to each of them; a parameter without one takes the sum.
    ///
    /// # Errors
    /// If they differ in shape or place, or a device refuses.
    pub fn share(&mut self, ids: &[Id]) -> Result<()> {
        let found: Vec<&Tensor<T>> = ids.iter().filter_map(|&id| self.gradient(id)).collect();
        let Some(first) = found.first() else { return Ok(()) };
        if let Some(other) = found.iter().find(|other| other.shape() != first.shape()) {
            let expected = format!("{:?}, as another has", first.shape());
            return Err(Error::shape("Step::share", "gradient", expected, other.shape()));
        }
        let device = Device::of("Step::share", found.iter().copied())?;
        let sum = device.engine().sum(&found)?;
        for id in ids {
            match self.gradients.get_mut(id.index()) {
                Some(Some(own)) => device.engine().add_to(own, &sum)?,
                Some(none) => *none = Some(sum.clone()),
                None => {}
            }
        }
        Ok(())
    }

    /// The norm of all gradients together, as if they were one vector: `sqrt(sum g^2)`. It has the
    /// same bits for any number of threads. On a device, the host waits for it.
    ///
    /// # Errors
    /// If a device that they are on refuses.
    pub fn norm(&self) -> Result<f64> {
        let mut rest: Vec<&Tensor<T>> = self.gradients.iter().flatten().collect();
        let mut sum = 0.0;
        // Nearly always all of them are in one place.
        while let Some(device) = rest.first().map(|gradient| gradient.device()) {
            let (here, elsewhere): (Vec<_>, _) =
                rest.into_iter().partition(|gradient| gradient.device() == device);
            sum += device.engine().sum_of_squares(&here)?;
            rest = elsewhere;
        }
        Ok(sum.sqrt())
    }

    /// Clips the gradients by their [`norm`](Self::norm), and gives the norm that they had: they are
    /// multiplied by `max / (norm + 1e-6)` if that is less than 1, as PyTorch's
    /// `clip_grad_norm_` does.
    ///
    /// # Errors
    /// If the norm is not finite, and nothing is changed then; or if a device that they are on
    /// refuses.
    pub fn clip_norm(&mut self, max: f64) -> Result<f64> {
        let norm = self.norm()?;
        if !norm.is_finite() {
            let problem = format!("the norm of the gradients is {norm}; lower the learning rate");
            return Err(Error::argument("clip_norm", problem));
        }
        let factor = max / (norm + 1e-6);
        if factor < 1.0 {
            self.scale(factor)?;
        }
        Ok(norm)
    }

    /// The buffers' new values.
    pub fn updates(&self) -> impl Iterator<Item = (Id, &Tensor<T>)> {
        self.updates.iter().map(|(id, value)| (*id, value))
    }

    /// Gives the buffers their new values, once.
    pub fn update_buffers(&mut self, parameters: &mut Parameters<T>) {
        for (id, value) in self.updates.drain(..) {
            *parameters.value_mut(id) = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Role;

    fn tensor(values: &[f64]) -> Tensor<f64> {
        Tensor::new(&[values.len()], values.to_vec()).unwrap()
    }

    fn step(gradients: &[Option<&[f64]>]) -> Step<f64> {
        Step::new(gradients.iter().map(|values| values.map(tensor)).collect(), vec![])
    }

    fn values(step: &Step<f64>) -> Vec<(usize, Vec<f64>)> {
        step.gradients().map(|(id, g)| (id.index(), g.as_slice().to_vec())).collect()
    }

    #[test]
    fn gradients_are_read_and_changed() {
        let mut step = step(&[Some(&[1.0, 2.0]), None, Some(&[3.0])]);
        step.gradient_mut(Id::from_index(0)).unwrap().as_mut_slice()[1] = 5.0;
        assert_eq!(values(&step), [(0, vec![1.0, 5.0]), (2, vec![3.0])]);
        step.scale(-2.0).unwrap();
        assert_eq!(values(&step), [(0, vec![-2.0, -10.0]), (2, vec![-6.0])]);
        for index in [1, 7] {
            let id = Id::from_index(index);
            assert!(step.gradient(id).is_none() && step.gradient_mut(id).is_none());
        }
    }

    #[test]
    fn steps_add_up_where_both_or_one_have_a_gradient() {
        let mut sum = step(&[Some(&[1.0, 2.0]), None, Some(&[3.0]), None]);
        sum.add(step(&[Some(&[10.0, 20.0]), Some(&[4.0]), None, None])).unwrap();
        assert_eq!(values(&sum), [(0, vec![11.0, 22.0]), (1, vec![4.0]), (2, vec![3.0])]);
        let before = values(&sum);
        for other in [step(&[None]), step(&[Some(&[1.0, 1.0]), None, Some(&[0.0, 0.0]), None])] {
            assert!(sum.add(other).is_err());
            assert_eq!(values(&sum), before);
        }
    }

    #[test]
    fn gradients_are_shared_by_those_without_one_too() {
        let mut step = step(&[Some(&[1.0, 2.0]), None, Some(&[10.0, 20.0]), Some(&[7.0]), None]);
        step.share(&[0, 1, 2].map(Id::from_index)).unwrap();
        let shared = [vec![12.0, 24.0], vec![11.0, 22.0], vec![21.0, 42.0], vec![7.0]];
        assert_eq!(values(&step), shared.into_iter().enumerate().collect::<Vec<_>>());
        step.share(&[Id::from_index(4)]).unwrap();
        assert!(step.share(&[2, 3].map(Id::from_index)).is_err());
    }

    #[test]
    fn buffers_take_the_values_of_the_pass_that_was_added_last() {
        let mut parameters = Parameters::default();
        let id = parameters.add("mean", Role::Buffer, tensor(&[0.0])).unwrap();
        let with = |value| Step::new(vec![None], vec![(id, tensor(&[value]))]);
        let mut step = with(1.0);
        step.add(with(2.0)).unwrap();
        step.update_buffers(&mut parameters);
        assert_eq!(parameters.value(id).as_slice(), [2.0]);
        step.add(with(3.0)).unwrap();
        step.update_buffers(&mut parameters);
        assert_eq!(parameters.value(id).as_slice(), [3.0]);
    }

    #[test]
    fn a_norm_over_all_gradients_is_clipped() {
        let mut long = step(&[Some(&[3.0, 0.0]), None, Some(&[0.0, 4.0])]);
        assert_eq!(long.norm().unwrap(), 5.0);
        assert_eq!(long.clip_norm(5.1).unwrap(), 5.0);
        assert_eq!(values(&long), [(0, vec![3.0, 0.0]), (2, vec![0.0, 4.0])]);
        assert_eq!(long.clip_norm(1.0).unwrap(), 5.0);
        assert!((long.norm().unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(step(&[None]).clip_norm(1.0).unwrap(), 0.0);
        for fault in [f64::NAN, f64::INFINITY] {
            let mut step = step(&[Some(&[1.0]), Some(&[fault])]);
            assert!(step.clip_norm(1.0).is_err());
            assert_eq!(values(&step)[0].1, [1.0], "nothing is changed");
        }
    }
}
