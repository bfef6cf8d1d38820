"""Compares the frames of six Atari games with those of Gymnasium: see check.sh."""

import struct
import subprocess
import sys
import tempfile
import time

import ale_py
import gymnasium
import numpy

STEPS = 1000
REPEATS = 4
GAMES = ["Alien", "Gopher", "Jamesbond", "Seaquest", "Riverraid", "UpNDown"]
FRAME = numpy.dtype([("reward", "<f4"), ("over", "u1"), ("pixels", "u1", (84, 84))])


def action(at, count):
    return (at * 7 + at // 13) % count


def of_gymnasium(game):
    one = gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.0)
    one = gymnasium.wrappers.AtariPreprocessing(one, noop_max=0, frame_skip=4)
    one.reset(seed=0)
    steps = numpy.zeros(STEPS, FRAME)
    for at in range(STEPS):
        seen, reward, over, _, _ = one.step(action(at, one.action_space.n))
        steps[at] = reward, over, seen
        if over:
            one.reset(seed=0)
    return steps


def of_the_crate(program, game):
    """The steps, and the microseconds that one takes."""
    with tempfile.NamedTemporaryFile() as file:
        command = [program, "frames", f"atari:{game}", str(STEPS), file.name]
        used = float(subprocess.run(command, check=True, capture_output=True).stdout)
        return numpy.fromfile(file.name, FRAME), used


def microseconds_of_the_emulator(game):
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    rom = {rom.replace("_", ""): rom for rom in ale_py.roms.get_all_rom_ids()}[game.lower()]
    ale.loadROM(ale_py.roms.get_rom_path(rom))
    ale.reset_game()
    actions, screens = ale.getMinimalActionSet(), numpy.zeros((2, *ale.getScreenDims()), "u1")
    begin = time.perf_counter()
    for at in range(STEPS):
        for left in range(3, -1, -1):
            ale.act(actions[action(at, len(actions))])
            if left < 2:
                ale.getScreenGrayscale(screens[left])
        if ale.game_over():
            ale.reset_game()
    return 1e6 * (time.perf_counter() - begin) / STEPS


def microseconds_of_the_pipe():
    """What a step of no emulated frame takes: a request, and an answer with a screen."""
    command = [sys.executable, "src/environment/worker.py", "atari", "seaquest", "minimal"]
    request = struct.pack("<cI", b"s", 0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        worker.stdout.read(struct.unpack("<cI", worker.stdout.read(5))[1])
        used = []
        for _ in range(STEPS):
            begin = time.perf_counter()
            worker.stdin.write(request)
            worker.stdin.flush()
            worker.stdout.read(struct.unpack("<cI", worker.stdout.read(5))[1])
            used.append(time.perf_counter() - begin)
        worker.stdin.close()
    return 1e6 * sorted(used)[STEPS // 2]


def main(program):
    gymnasium.register_envs(ale_py)
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    worst = 0
    for game in GAMES:
        # The machine has other things to do: the quickest of each, one after the other.
        found, here = of_the_crate(program, game)
        alone = microseconds_of_the_emulator(game)
        for _ in range(REPEATS):
            here = min(here, of_the_crate(program, game)[1])
            alone = min(alone, microseconds_of_the_emulator(game))
        expected = of_gymnasium(game)
        off = numpy.abs(found["pixels"].astype(int) - expected["pixels"]).max(axis=(1, 2))
        same = (found["reward"] == expected["reward"]).all() and (found["over"] == expected["over"]).all()
        assert same, f"{game}: rewards and ends differ"
        print(
            f"{game:10} {STEPS} steps, return {found['reward'].sum():6.0f}, {found['over'].sum()} ends: "
            f"{off.max()} grey levels apart at most, {(off > 0).sum()} frames differ; "
            f"{here:.0f} us a step, the emulator alone {alone:.0f}"
        )
        worst = max(worst, off.max())
    print(f"the pipe: {microseconds_of_the_pipe():.0f} us for a request and its answer")
    assert worst <= 1, "frames differ by more than one grey level"


main(sys.argv[1])
