"""Tensors: arrays in and out, operators, the way back."""

import gc
import weakref

import numpy as np
import pytest
import zoo_tuning as zt


def address(array):
    return array.__array_interface__["data"][0]


def test_an_array_is_used_where_it_is_and_shown_without_a_copy():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    shown = zt.Tensor(array).numpy()
    assert address(shown) == address(array)
    assert shown.shape == (2, 3) and shown.dtype == np.float32
    assert not shown.flags.writeable
    array[0, 0] = 7
    assert shown[0, 0] == 7


def test_an_array_lives_as_long_as_what_shows_it():
    array = np.full(100_000, 3, np.float32)
    kept = weakref.ref(array)
    shown = zt.Tensor(array).numpy()
    del array
    gc.collect()
    assert kept() is not None and shown.sum() == 300_000
    del shown
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(
    "given",
    [
        np.arange(6).reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(3, 2).T.copy(order="F"),
        np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2],
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.frombuffer(b"?" + np.arange(6, dtype=np.float32).tobytes(), np.uint8)[1:].view(np.float32),
        [[1, 2], [3, 4]],
        2.5,
        True,
        np.float32(4),
        np.zeros((0, 3), np.float32),
    ],
)
def test_other_numbers_are_copied(given):
    tensor = zt.Tensor(given)
    expected = np.asarray(given, dtype=np.float32)
    assert tensor.shape == expected.shape
    np.testing.assert_array_equal(tensor.numpy(), expected)


@pytest.mark.parametrize("given", [["a"], np.array([1j]), np.array([None]), "text"])
def test_what_is_no_number_is_a_type_error(given):
    with pytest.raises(TypeError, match="expected numbers"):
        zt.Tensor(given)


def test_numpy_asks_for_an_array():
    tensor = zt.Tensor([1.0, 2.0])
    assert address(np.asarray(tensor)) == address(tensor.numpy())
    assert np.asarray(tensor, dtype=np.float64).dtype == np.float64
    assert np.array(tensor).flags.writeable
    assert float(zt.Tensor([3.0])) == 3.0
    assert len(tensor) == 2 and tensor.ndim == 1 and tensor.size == 2
    assert "shape=[2]" in repr(tensor)


def test_memory_is_shared_by_dlpack_both_ways():
    own = zt.Tensor([[1, 2], [3, 4]])
    shared = np.from_dlpack(own)
    assert address(shared) == address(own.numpy())
    assert own.__dlpack_device__() == (1, 0)
    # Whoever borrows has the same memory, and the tensor sees what is written there.
    again = np.from_dlpack(own)
    assert shared.flags.writeable
    shared[0, 1] = 9
    assert again[0, 1] == 9 and own.numpy()[0, 1] == 9 and (own + 0).numpy()[0, 1] == 9
    # Not what was made of it before, which has the memory too.
    kept = zt.Tensor(own)
    assert address(np.from_dlpack(kept)) != address(shared)

    class Other:
        """Nothing but what the protocol asks for."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **arguments):
            return self.array.__dlpack__(**arguments)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    array = np.arange(4, dtype=np.float32)
    tensor = zt.Tensor(Other(array))
    assert address(tensor.numpy()) == address(array)
    for other in [array[::2], array.astype(np.float64), array.astype(np.int32), array[:0]]:
        np.testing.assert_array_equal(zt.Tensor(Other(other)).numpy(), other)
    # A capsule that nobody takes gives back what it holds.
    for _ in range(3):
        own.__dlpack__()
        own.__dlpack__(max_version=(1, 0))


def test_what_lies_in_a_file_is_lent_to_be_read(zoo):
    mapped = zoo.tensors()["conv1.weight"]
    shared = np.from_dlpack(mapped)
    assert not shared.flags.writeable and address(shared) == address(mapped.numpy())
    with pytest.raises(BufferError, match="to be read alone"):
        mapped.__dlpack__()
    copied = np.from_dlpack(mapped, copy=True)
    assert copied.flags.writeable and address(copied) != address(shared)


def test_a_tensor_with_a_gradient_is_not_lent():
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(zt.Tensor([1.0], requires_grad=True))
    assert np.from_dlpack(zt.Tensor([1.0], requires_grad=True).detach())[0] == 1


A = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]], np.float32)
B = np.array([[2.0, 4.0, -0.5]], np.float32)
OPERATORS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "scalars": lambda a, b: 2 - (3 * a + 1) / 2 - b,
    "reflected": lambda a, b: 1 / (b * 2) + (a - 0.5) * -1,
    "power": lambda a, b: abs(b) ** 1.5 * a**2 + -a,
    "column": lambda a, b: a * a[:, :1] + b[0, 1:2],
    "parts": lambda a, b: a[1] * b[0] + a[0:1, :].reshape(-1),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_those_of_numpy_and_so_are_their_gradients(name):
    operator = OPERATORS[name]
    np.testing.assert_allclose(
        operator(zt.Tensor(A), zt.Tensor(B)).numpy(), operator(A, B), rtol=1e-6
    )
    check_gradients(lambda a, b: (operator(a, b) * np.float32(0.7)).sum(), A, B)


def test_operands_may_be_arrays():
    x = zt.Tensor(A, requires_grad=True)
    for y, expected in [(B * x, B * A), (x - B, A - B), (B - x, B - A), (x / B, A / B)]:
        assert isinstance(y, zt.Tensor) and y.requires_grad
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    # A tensor of one value is no constant.
    one = zt.Tensor(2.0, requires_grad=True)
    (x * one).sum().backward()
    assert one.grad == pytest.approx(A.sum())


FUNCTIONS = {
    "exp": (lambda x: x.exp(), np.exp),
    "log": (lambda x: (x**2).log(), lambda x: np.log(x**2)),
    "relu": (lambda x: x.relu(), lambda x: np.maximum(x, 0)),
    "sigmoid": (lambda x: x.sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    "softmax": (lambda x: x.softmax(), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "log_softmax": (
        lambda x: x.log_softmax(),
        lambda x: x - np.log(np.exp(x).sum(1, keepdims=True)),
    ),
    "sum": (lambda x: x.sum(axis=-1), lambda x: x.sum(axis=1)),
    "mean": (lambda x: x.mean(axis=(0, 1)), lambda x: x.mean()),
    "pick": (lambda x: x.pick([2, 0]), lambda x: x[[0, 1], [2, 0]]),
    "matmul": (lambda x: x @ A.T, lambda x: x @ A.T),
    "linear": (lambda x: zt.linear(x, A, [1, 2]), lambda x: x @ A.T + [1, 2]),
    "mse": (lambda x: zt.mse(x, 2 * A), lambda x: ((x - 2 * A) ** 2).mean()),
    "concatenate": (
        lambda x: zt.concatenate([x, A], axis=1),
        lambda x: np.concatenate([x, A], axis=1),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_of_numpy_and_so_are_their_gradients(name):
    ours, numpys = FUNCTIONS[name]
    np.testing.assert_allclose(ours(zt.Tensor(A)).numpy(), numpys(A), rtol=1e-5, atol=1e-6)
    check_gradients(lambda x: (ours(x) * np.float32(0.7)).sum(), A)


def check_gradients(loss, *arrays):
    """Against central differences, to what numbers of 32 bits allow."""
    parameters = [zt.Tensor(array, requires_grad=True) for array in arrays]
    loss(*parameters).backward()
    step = 2e-2
    for at, (array, parameter) in enumerate(zip(arrays, parameters)):
        if parameter.grad is None:
            continue
        expected = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                moved = [other.copy() for other in arrays]
                moved[at][place] += sign * step
                values.append(loss(*map(zt.Tensor, moved)).item())
            expected[place] = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(parameter.grad, expected, rtol=2e-2, atol=2e-2)


def test_losses_by_their_formulas():
    logits = np.array([[1.0, 2.0, -1.0], [0.0, 0.5, 3.0]], np.float32)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = zt.cross_entropy(logits, [1, 2])
    assert loss.item() == pytest.approx(-(log_p[0, 1] + log_p[1, 2]) / 2, rel=1e-6)
    soft = zt.soft_cross_entropy(logits, [[0, 1, 0], [0, 0, 1]])
    assert soft.item() == pytest.approx(loss.item(), rel=1e-6)
    smooth = zt.cross_entropy(logits, np.array([1, 2]), smoothing=0.3).item()
    assert smooth == pytest.approx(0.7 * loss.item() - 0.3 * log_p.mean(), rel=1e-6)
    assert zt.huber([0.5, 3.0], [0.0, 0.0]).item() == pytest.approx((0.125 + 2.5) / 2)


def test_a_convolution_by_its_definition():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 4, 5, 5)).astype(np.float32)
    weight = rng.normal(size=(6, 2, 3, 3)).astype(np.float32)
    bias = np.arange(6, dtype=np.float32)
    found = zt.conv2d(x, weight, bias, stride=2, padding=1, groups=2).numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for n, o, row, column in np.ndindex(found.shape):
        group = slice(0, 2) if o < 3 else slice(2, 4)
        window = padded[n, group, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        assert found[n, o, row, column] == pytest.approx((window * weight[o]).sum() + o, abs=1e-4)


def test_gradients_add_up_until_they_are_forgotten():
    w = zt.Tensor([2.0, 3.0], requires_grad=True)
    assert w.grad is None
    for times in (1, 2):
        (w * w).sum().backward()
        np.testing.assert_array_equal(w.grad, times * np.array([4.0, 6.0]))
    w.grad = None
    assert w.grad is None
    (w * w).backward([1.0, 10.0])
    np.testing.assert_array_equal(w.grad, [4.0, 60.0])


def test_a_value_that_is_used_twice_receives_both_gradients():
    x = zt.Tensor([1.0, -2.0], requires_grad=True)
    y = x + x
    z = y * y + y
    z.sum().backward()
    # (2x)^2 + 2x: 8x + 2.
    np.testing.assert_array_equal(x.grad, [10.0, -14.0])


def test_a_long_sum_goes_back_and_away():
    x = zt.Tensor(1.0, requires_grad=True)
    total = x
    for _ in range(20_000):
        total = total + x
    total.backward()
    assert x.grad == 20_001
    total = x
    for _ in range(20_000):
        total = total + x
    del total


def test_a_field_of_records_is_read_where_it_lies():
    records = np.zeros(3, dtype=[("a", "u1"), ("x", "<f4")])
    records["x"] = [1.5, -2.0, 3.25]
    np.testing.assert_array_equal(zt.Tensor(records["x"]).numpy(), [1.5, -2.0, 3.25])


def test_a_gradient_is_nobody_elses_array():
    parameter = zt.Tensor(np.zeros(3, np.float32), requires_grad=True)
    given = np.ones(3, np.float32)
    parameter.backward(given)
    given[:] = 7
    np.testing.assert_array_equal(parameter.grad, 1)


def test_more_axes_than_can_be_shown_are_refused():
    with pytest.raises(ValueError, match="at most 32 axes, found 33"):
        zt.Tensor([1.0]).reshape([1] * 33).numpy()


def test_what_is_wrong_is_said():
    x = zt.Tensor(A, requires_grad=True)
    with pytest.raises(ValueError, match="single value"):
        (x * 2).backward()
    with pytest.raises(ValueError, match="like the tensor"):
        (x * 2).backward([1.0])
    with pytest.raises(RuntimeError, match="no parameter"):
        zt.Tensor(1.0).backward()
    loss = x.sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="already"):
        loss.backward()
    with pytest.raises(ValueError, match=r"broadcast to \[2, 3\]"):
        x + np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="matmul: second factor"):
        x @ A
    with pytest.raises(ValueError, match="reshape"):
        x.reshape(4, 2)
    with pytest.raises(ValueError, match="reshape"):
        x.reshape(2**62, 4)
    with pytest.raises(ValueError, match="operator"):
        zt.Tensor(np.zeros((2**22, 1), np.float32)) + np.zeros((1, 2**22), np.float32)
    with pytest.raises(ValueError, match="no shape"):
        x.reshape(-1, -1)
    with pytest.raises(ValueError, match="no axis 2"):
        x.sum(axis=2)
    with pytest.raises(IndexError, match="no index 2"):
        x[2]
    with pytest.raises(IndexError, match="3 indices"):
        x[0, 0, 0]
    with pytest.raises(IndexError, match="no step"):
        x[::2]
    with pytest.raises(TypeError, match="integers and slices"):
        x["a"]
    with pytest.raises(ValueError, match="label"):
        zt.cross_entropy(A, [0, 3])
    with pytest.raises(ValueError, match="count from 0"):
        zt.cross_entropy(A, [0, -1])
    with pytest.raises(TypeError, match="integers"):
        zt.cross_entropy(A, [0.5, 1.0])
    with pytest.raises(ValueError, match=r"shape \[N\]"):
        zt.cross_entropy(A, [[0, 1]])
    with pytest.raises(ValueError, match="of one value"):
        x.item()
    with pytest.raises(ValueError, match="None alone"):
        x.grad = A
    with pytest.raises(ValueError, match="nothing to put together"):
        zt.concatenate([])
    with pytest.raises(ValueError):
        zt.conv2d(np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 3, 3)), stride=0)
    with pytest.raises((ValueError, OverflowError)):
        zt.conv2d(np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 3, 3)), padding=2**62)
