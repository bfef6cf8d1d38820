# SPDX-License-Identifier: MIT
"""Runs one environment of Python for a program at the other end of two pipes.

    python worker.py atari GAME minimal|full        the emulator of ale-py
    python worker.py gym ID                         an environment of Gymnasium

A request is one byte that says what is wanted, the length of what follows in four bytes, and that; an
answer is "+" or, with a message, "-", the length, and what was asked for. Numbers are little-endian.
After its start the worker says in JSON what it runs; when the requests end, so does it.

    request      follows                    answer
    r  reset     seed, 8 bytes              lives, 4 bytes; frame
    s  step      actions, 2 bytes each      reward, 8 bytes (float); lives, 4 bytes;
                                            1 if terminated, 2 if truncated; frame
    p  picture                              height and width, 4 bytes each; red, green, blue by pixel
    c  clone                                the state
    l  load      the state                  frame
"""

import difflib
import json
import os
import re
import signal
import struct
import sys


class Atari:
    """A frame is a grey screen: the brighter of the last two, as Gymnasium's AtariPreprocessing has it.

    Nothing is random here: the other side says for each emulated frame which action is taken, and
    instead of a seed, how many frames an episode begins with in which nothing is done.
    """

    def __init__(self, game, actions):
        import numpy
        from ale_py import ALEInterface, ALEState, LoggerMode, roms

        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.ale, self.state = ALEInterface(), ALEState
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.setInt("random_seed", 0)
        plain = {rom.replace("_", ""): rom for rom in roms.get_all_rom_ids()}
        asked = game.replace("_", "").lower()
        if asked not in plain:
            near = ", ".join(difflib.get_close_matches(asked, plain)) or ", ".join(plain)
            raise LookupError(f"there is no game {game}; the nearest: {near}")
        self.ale.loadROM(roms.get_rom_path(plain[asked]))
        full = actions == "full"
        self.actions = self.ale.getLegalActionSet() if full else self.ale.getMinimalActionSet()
        # The last one, and the one before.
        self.screens = numpy.zeros((2, *self.ale.getScreenDims()), numpy.uint8)
        self.brighter = numpy.maximum

    def about(self):
        names = [action.name.lower() for action in self.actions]
        return {"frame": self.screens[:1].shape, "stack": 4, "actions": names}

    def over(self):
        return self.ale.game_over(with_truncation=False)

    def reset(self, waits):
        self.ale.reset_game()
        for _ in range(waits):
            self.ale.act(self.actions[0])
            if self.over():
                self.ale.reset_game()
        self.ale.getScreenGrayscale(self.screens[0])
        self.screens[1] = 0
        return self.ale.lives(), self.screens[0]

    def step(self, actions):
        reward = 0
        for left, action in zip(range(len(actions) - 1, -1, -1), actions):
            reward += self.ale.act(self.actions[action])
            if self.over():
                break
            if left < 2:
                self.ale.getScreenGrayscale(self.screens[left])
        self.brighter(*self.screens, out=self.screens[0])
        return reward, self.ale.lives(), self.over(), False, self.screens[0]

    def picture(self):
        return self.ale.getScreenRGB()

    def clone(self):
        return self.screens.tobytes() + self.ale.cloneState(include_rng=True).serialize()

    def load(self, state):
        screens, rest = state[: self.screens.nbytes], state[self.screens.nbytes :]
        self.ale.restoreState(self.state(rest))
        self.screens.data.cast("B")[:] = screens
        return self.screens[0]


class Gym:
    """A frame is the observation in bytes, [channels, height, width]."""

    def __init__(self, name):
        import gymnasium
        import numpy

        self.numpy = numpy
        self.environment = self.make(gymnasium, name)
        actions, space = self.environment.action_space, self.environment.observation_space
        if not isinstance(actions, gymnasium.spaces.Discrete):
            raise TypeError(f"actions have to be Discrete, and are {actions}")
        if not isinstance(space, gymnasium.spaces.Box) or not 1 <= len(space.shape) <= 3:
            raise TypeError(f"observations have to be a Box of one to three axes, and are {space}")
        self.first, self.count, self.space = int(actions.start), int(actions.n), space
        self.seen = numpy.zeros(space.shape, space.dtype)

    @staticmethod
    def make(gymnasium, name):
        # Packages make their environments known when they are imported, or when they are asked to.
        package = name.split("/")[0].lower()
        if "/" in name and name.split("/")[0] not in {
            spec.namespace for spec in gymnasium.registry.values()
        }:
            package = {"ale": "ale_py"}.get(package, package)
            __import__(package)
            try:
                __import__(package + ".gym")
                sys.modules[package + ".gym"].register_envs()
            except (ModuleNotFoundError, AttributeError):
                pass
        for options in ({"render_mode": "rgb_array"}, {}):
            try:
                return gymnasium.make(name, disable_env_checker=True, **options)
            except TypeError:
                if not options:
                    raise

    def about(self):
        numpy, space = self.numpy, self.space
        names = getattr(self.environment.unwrapped, "get_action_meanings", lambda: range(self.count))
        names = list(names())
        if len(names) != self.count:
            names = range(self.count)  # A wrapper has other actions.
        picture = len(space.shape) > 1 and space.dtype == numpy.uint8
        return {
            "frame": self.planes(numpy.zeros(space.shape)).shape,
            "stack": 4 if picture else 1,
            "actions": [str(name).lower() for name in names],
        }

    def planes(self, values):
        """[C, H, W]: the channels come last, unless there are fewer of the first axis."""
        if values.ndim < 3:
            return values.reshape(-1, 1, 1) if values.ndim == 1 else values[None]
        return values if values.shape[0] < values.shape[2] else values.transpose(2, 0, 1)

    def frame(self):
        numpy, seen = self.numpy, self.seen
        if seen.dtype == bool:
            seen = seen * numpy.uint8(255)
        elif seen.dtype != numpy.uint8:
            low, high = self.space.low.astype(float), self.space.high.astype(float)
            bounded = (numpy.abs(low) < 1e6) & (numpy.abs(high) < 1e6) & (low < high)
            low, high = numpy.where(bounded, low, 0.0), numpy.where(bounded, high, 1.0)
            # What has no bounds is squeezed: -inf, 0, inf become 0, 0.5, 1.
            squeezed = 0.5 + 0.5 * seen / (1.0 + numpy.abs(seen))
            seen = numpy.where(bounded, (seen - low) / (high - low), squeezed)
            seen = numpy.rint(255 * numpy.clip(seen, 0.0, 1.0)).astype(numpy.uint8)
        return numpy.ascontiguousarray(self.planes(seen))

    def reset(self, seed):
        self.seen, info = self.environment.reset(seed=seed % 2**32)
        return int(info.get("lives", 1)), self.frame()

    def step(self, actions):
        action = self.first + actions[0]
        self.seen, reward, terminated, truncated, info = self.environment.step(action)
        lives = int(info.get("lives", not terminated))
        return float(reward), lives, terminated, truncated, self.frame()

    def picture(self):
        try:
            return self.numpy.asarray(self.environment.render(), self.numpy.uint8)[:, :, :3]
        except Exception:
            # It has none, or lacks a package for it: the channels of the frame, one below the other.
            frame = self.frame()
            grey = frame.reshape(-1, frame.shape[2], 1)
            return grey.repeat(3, axis=2)


def serve(environment, requests, answer):
    while len(head := requests.read(5)) == 5:
        kind, length = struct.unpack("<cI", head)
        body = requests.read(length)
        try:
            if kind == b"s":
                actions = struct.unpack(f"<{length // 2}H", body)
                reward, lives, terminated, truncated, frame = environment.step(actions)
                ended = terminated + 2 * truncated
                answer(b"+", struct.pack("<dIB", reward, lives, ended), frame)
            elif kind == b"r":
                lives, frame = environment.reset(*struct.unpack("<Q", body))
                answer(b"+", struct.pack("<I", lives), frame)
            elif kind == b"p":
                picture = environment.picture()
                answer(b"+", struct.pack("<II", *picture.shape[:2]), picture.tobytes())
            elif kind == b"c":
                answer(b"+", environment.clone())
            elif kind == b"l":
                answer(b"+", environment.load(body))
            else:
                answer(b"-", f"there is no request {kind}".encode())
        except Exception as error:
            answer(b"-", f"{type(error).__name__}: {error}".encode())


def main(kind, *arguments):
    # An interrupt is for the program, which wants to save what it has; and what libraries print must not
    # get among the answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(status, *parts):
        body = b"".join(parts)
        answers.write(struct.pack("<cI", status, len(body)) + body)
        answers.flush()

    try:
        environment = {"atari": Atari, "gym": Gym}[kind](*arguments)
        answer(b"+", json.dumps(environment.about()).encode())
    except ModuleNotFoundError as error:
        packages = {"atari": "ale-py numpy", "gym": "gymnasium numpy"}[kind]
        if error.name not in ("ale_py", "gymnasium", "numpy"):
            packages += f" {error.name}"
        hint = f"{sys.executable} -m pip install {packages}"
        answer(b"-", f"{error}; it may be installed by `{hint}`".encode())
        return
    except Exception as error:
        answer(b"-", f"{type(error).__name__}: {re.sub(chr(27) + '.*?m', '', str(error))}".encode())
        return
    serve(environment, sys.stdin.buffer, answer)


main(*sys.argv[1:])
