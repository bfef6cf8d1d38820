"""Zoos and networks: opened, looked at, trained by hand, collapsed, written."""

import os
import pickle
import threading
import time

import numpy as np
import pytest
import zoo_tuning as zt
from conftest import DIGITS, FILES


def steps(network, batch, count, **settings):
    """The losses of some steps."""
    images, labels = batch
    optimizer = zt.Optimizer(network, **settings)
    losses = []
    for _ in range(count):
        loss = zt.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_zoo_says_what_it_is(zoo):
    assert (len(zoo), zoo.architecture, zoo.channels) == (4, "resnet_small", 1)
    assert [os.fspath(path) for path in zoo.paths] == [os.fspath(path) for path in FILES]
    assert all("trained_on" in metadata for metadata in zoo.metadata)
    assert zoo.tensors()["conv1.weight"].shape[1:] == (1, 3, 3)
    assert [os.fspath(path) for path in zoo[1:3].paths] == [os.fspath(path) for path in FILES[1:3]]
    assert len(zoo[-1]) == 1 and len(list(iter(zoo))) == 4
    assert "resnet_small" in zt.architectures()
    raw = zt.load_tensors(FILES[1])
    mapped = zoo.tensors(1)
    assert raw.keys() == mapped.keys()
    for name, tensor in raw.items():
        np.testing.assert_array_equal(tensor.numpy(), mapped[name].numpy())


def test_scores_find_the_sources_that_fit_and_matching_keeps_what_they_compute(zoo, digits, batch):
    images, labels = digits
    scores = zoo.scores(2 * images[:400] - 1, labels[:400])
    assert len(scores) == 4 and all(0.5 < score <= 1 for score in scores)
    assert scores == zoo.scores(2 * images[:400] - 1, labels[:400])
    best = int(np.argmax(scores))
    matched = zoo.matched(batch[0], best)
    moved = 0
    for source in range(4):
        plain = [one[source].network("average", classes=10) for one in (zoo, matched)]
        before, after = (network.features(batch[0]) for network in plain)
        # The same features in another order.
        np.testing.assert_allclose(np.sort(before), np.sort(after), rtol=1e-3, atol=1e-4)
        moved += not np.allclose(before, after, atol=1e-4)
    assert moved == 3


@pytest.mark.parametrize("form, kind", [("zoo", "zoo"), ("lite", "lite"), ("average", "plain")])
def test_every_form_learns(zoo, batch, form, kind):
    network = zoo.network(form, classes=[f"digit {n}" for n in range(10)], scores=[0.9, 0.5, 0.2, 0.1])
    assert network.form == kind and network.sources == (1 if form == "average" else 4)
    assert network.classes[3] == "digit 3" and network.input["mean"] == [0.5]
    assert kind in repr(network)
    losses = steps(network, batch, 12, learning_rate=0.02)
    # Kernels whose channels are in different orders are not worth much in the mean.
    assert losses[-1] < (0.9 if form == "average" else 0.5) * losses[0]


def test_the_same_seed_gives_the_same_bits(zoo, batch):
    runs = [steps(zoo.network("lite", classes=10, seed=5), batch, 3) for _ in range(2)]
    assert runs[0] == runs[1]
    assert steps(zoo.network("lite", classes=10, seed=6), batch, 3) != runs[0]


def test_gates_are_shares(zoo, lite, batch):
    network = zoo.network("zoo", classes=10, scores=[0.1, 0.9, 0.2, 0.3])
    gates = network.gates(batch[0], batch=24)
    assert {gate.shape for gate in gates.values()} == {(64, 4)}
    for gate in gates.values():
        np.testing.assert_allclose(gate.sum(axis=1), 1, rtol=1e-5)
        assert (gate[:, 1] > 0.75).all(), "the prior leads to the best source"
    steps(lite, batch, 2)
    of_lite = lite.gates(batch[0], batch=24)
    assert {gate.shape for gate in of_lite.values()} == {(1, 4)}
    assert of_lite.keys() == gates.keys()


def test_a_lite_network_collapses_into_a_plain_one_that_is_read_again(lite, batch, tmp_path):
    with pytest.raises(ValueError, match="cannot collapse"):
        lite.collapse()
    steps(lite, batch, 3)
    plain = lite.collapse()
    expected = lite.logits(batch[0])
    assert (plain.form, plain.sources) == ("plain", 1) and plain.size < lite.size / 3
    np.testing.assert_allclose(plain.logits(batch[0]), expected, atol=1e-4)
    for ending in ["safetensors", "pth"]:
        path = tmp_path / f"plain.{ending}"
        plain.save(path)
        np.testing.assert_array_equal(
            zt.open_network(path).logits(batch[0]), plain.logits(batch[0])
        )
    lite.save(tmp_path / "lite.safetensors")
    again = zt.open_network(tmp_path / "lite.safetensors")
    assert again.form == "lite"
    np.testing.assert_array_equal(again.logits(batch[0]), expected)
    plain.save(str(tmp_path / "plain.onnx"))
    assert (tmp_path / "plain.onnx").stat().st_size > 4 * plain.size
    with pytest.raises(ValueError, match="ending"):
        plain.save(tmp_path / "plain.txt")


def test_a_loss_of_ones_own_and_what_can_be_seen_of_its_gradients(lite, batch):
    images, labels = batch
    x = zt.Tensor(images, requires_grad=True)
    logits = lite(x)
    assert logits.requires_grad and logits.shape == (64, 10)
    # Cross-entropy, by operators.
    loss = -logits.log_softmax().pick(labels).mean()
    assert loss.item() == pytest.approx(zt.cross_entropy(logits, labels).item(), rel=1e-5)
    loss.backward()
    assert x.grad.shape == images.shape and np.abs(x.grad).max() > 0
    gradients = lite.gradients()
    assert gradients["fc.weight"].shape == (10, 64)
    # Once more, half of it twice: the same sum.
    for _ in range(2):
        (0.5 * zt.cross_entropy(lite(images), labels)).backward()
    twice = lite.gradients()
    np.testing.assert_allclose(twice["fc.bias"], 2 * gradients["fc.bias"], rtol=1e-3, atol=1e-6)
    lite.forget_gradients()
    assert lite.gradients() == {}
    with pytest.raises(RuntimeError, match="no gradients"):
        zt.Optimizer(lite).step()


def test_the_gradient_of_an_image_is_that_of_finite_differences(lite, batch):
    images, labels = batch[0][:8].copy(), batch[1][:8]

    def loss(images):
        return zt.cross_entropy(lite(images), labels)

    x = zt.Tensor(images, requires_grad=True)
    loss(x).backward()
    place = np.unravel_index(np.abs(x.grad).argmax(), x.grad.shape)
    values = []
    for sign in (1, -1):
        moved = images.copy()
        moved[place] += sign * 1e-2
        values.append(loss(moved).item())
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(x.grad[place], rel=0.1)


def test_optimizers_take_the_keys_of_a_configuration(zoo, batch):
    first = {}
    for rule in ["sgd", "adam", "adamw", "rmsprop"]:
        network = zoo.network("lite", classes=10)
        losses = steps(network, batch, 8, rule=rule, learning_rate=3e-3, weight_decay=1e-4)
        assert losses[-1] < losses[0]
        first[rule] = losses[-1]
    assert len(set(first.values())) == 4
    network = zoo.network("lite", classes=10)
    before = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    steps(network, batch, 2, learning_rate=0.01, freeze=["layer1"], gate_rate=0.0)
    after = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    def changed(name):
        return not np.array_equal(before[name], after[name])

    kernels = [name for name in before if name.endswith("weight") and ".average." not in name]
    assert not any(changed(name) for name in kernels if name.startswith("layer1."))
    assert changed("fc.weight") and any(changed(name) for name in kernels if "layer2" in name)
    assert not any(changed(name) for name in kernels if ".gate." in name)
    optimizer = zt.Optimizer(network, clip_norm=0.1, learning_rate=0.5)
    assert optimizer.learning_rate == 0.5
    optimizer.learning_rate = 0.0
    zt.cross_entropy(network(batch[0]), batch[1]).backward()
    assert optimizer.step() > 0
    assert np.array_equal(network.state_dict()["fc.weight"].numpy(), after["fc.weight"])
    for settings, said in [
        ({"rule": "sdg"}, "sdg"),
        ({"momentun": 0.5}, "momentum"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"freeze": ["layer9"]}, "layer9"),
        ({"epochs": 3}, "train"),
        ({"weight_decay": float("nan")}, "JSON"),
    ]:
        with pytest.raises(ValueError, match=said):
            zt.Optimizer(network, **settings)
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate = float("nan")


def test_a_state_dict_is_as_it_was_and_is_taken_again(zoo, batch):
    network = zoo.network("average", classes=10, seed=1)
    state = network.state_dict()
    assert {"conv1.weight", "bn1.running_mean", "fc.bias"} <= state.keys()
    before = {name: tensor.numpy().copy() for name, tensor in state.items()}
    logits = network.logits(batch[0])
    steps(network, batch, 2)
    assert not np.array_equal(network.logits(batch[0]), logits)
    for name, tensor in state.items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    network.load_state_dict(before)
    np.testing.assert_array_equal(network.logits(batch[0]), logits)
    # The arrays stay the caller's.
    before["fc.bias"][:] = 100
    np.testing.assert_array_equal(network.logits(batch[0]), logits)
    lent = np.from_dlpack(network.state_dict()["fc.bias"])
    lent[:] = 100
    np.testing.assert_array_equal(network.logits(batch[0]), logits)
    for name, wrong, said in [
        ("fc.bias", np.zeros(3), "fc.bias"),
        ("fc.other", np.zeros(10), "no tensor named fc.other"),
    ]:
        with pytest.raises(ValueError, match=said):
            network.load_state_dict({**state, name: wrong})
    np.testing.assert_array_equal(network.logits(batch[0]), logits)


def test_a_network_from_scratch_and_its_evaluation(digits, batch):
    network = zt.new_network("resnet_small", classes=10, channels=1)
    images, labels = digits
    losses = steps(network, batch, 25, learning_rate=0.1)
    assert losses[-1] < 0.2
    found = network.evaluate((images[:64], labels[:64]))
    predicted = network.logits(batch[0]).argmax(axis=1)
    assert found["accuracy"] == pytest.approx((predicted == labels[:64]).mean())
    assert found["samples"] == 64 and len(found["classes"]) == 10
    at_path = network.evaluate(DIGITS)
    assert at_path["samples"] == 1797 and 0.1 < at_path["accuracy"] < 1
    with pytest.raises(ValueError, match="an image for each label"):
        network.evaluate((images[:64], labels[:63]))
    with pytest.raises(TypeError, match="expected a path"):
        network.evaluate(7)


def test_batches_do_not_change_what_is_computed(lite, batch):
    steps(lite, batch, 1)
    whole = lite.logits(batch[0], batch=64)
    np.testing.assert_allclose(lite.logits(batch[0], batch=7), whole, atol=1e-5)
    with pytest.raises(ValueError, match="expected one at least, found none"):
        lite.logits(batch[0][:0])


def test_what_is_wrong_is_said(zoo, lite, batch, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        zt.open_zoo([tmp_path / "none.pth"])
    assert error.value.filename == os.fspath(tmp_path / "none.pth")
    (tmp_path / "wrong.pth").write_bytes(b"\x80\x02no checkpoint")
    with pytest.raises(ValueError, match="wrong.pth"):
        zt.open_network(tmp_path / "wrong.pth")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    # It would end the process, were it run; there is no tensor in it.
    assert zt.load_tensors(tmp_path / "evil.pth") == {}
    with pytest.raises(ValueError, match="evil.pth"):
        zt.open_network(tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="resnet18"):
        zt.open_zoo(FILES, "resnet18")
    with pytest.raises(ValueError):
        zt.open_zoo([])
    with pytest.raises(TypeError):
        zt.open_zoo(7)
    with pytest.raises(ValueError, match="should be zoo, lite or average"):
        zoo.network("soup", classes=10)
    with pytest.raises(ValueError, match="one at least"):
        zoo.network(classes=0)
    with pytest.raises(TypeError, match="classes"):
        zoo.network(classes=1.5)
    with pytest.raises(ValueError, match="scores"):
        zoo.network(classes=10, scores=[1.0])
    with pytest.raises(ValueError, match="gate"):
        zoo.network(classes=10, gate="hard")
    with pytest.raises(IndexError, match="no source 4"):
        zoo[4]
    with pytest.raises(IndexError, match="no source 7"):
        zoo.matched(batch[0], 7)
    with pytest.raises(ValueError, match="an image for each label"):
        zoo.scores(batch[0], batch[1][:3])
    with pytest.raises(ValueError, match=r"\[N, C, H, W\]"):
        lite.logits(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="should have shape"):
        lite(np.zeros((2, 3, 16, 16)))
    with pytest.raises(ValueError, match="no architecture|architecture"):
        zt.new_network("resnet_samll", classes=3)


class Evil:
    def __reduce__(self):
        return os._exit, (3,)


def test_python_goes_on_meanwhile(lite, batch):
    images = np.repeat(batch[0], 24, axis=0)
    lite.logits(images)
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    begun = time.perf_counter()
    # One batch, so that nothing in between lets others go on.
    lite.logits(images, batch=len(images))
    took, found = time.perf_counter() - begun, counted[0]
    stop.set()
    other.join()
    # A thread that waited for the whole time would count to two at most.
    assert found > 3, f"{found} in {took} s"


def test_several_threads_use_one_network(lite, batch):
    steps(lite, batch, 1)
    expected = lite.logits(batch[0])
    found = [None] * 4

    def run(place):
        found[place] = lite.logits(batch[0], batch=5)
        zt.cross_entropy(lite(batch[0][:8]), batch[1][:8])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for logits in found:
        np.testing.assert_allclose(logits, expected, atol=1e-5)
