"""Checkpoints: what goes in comes out, to the bit and to the type; what is no checkpoint is refused in one sentence."""

import json
import math
import zipfile

import numpy as np
import pytest

from fastmd import _store


def test_everything_comes_back_to_the_bit(tmp_path):
    rng = np.random.default_rng(1)
    state = {"a": np.array([1.5, -0.0, 1e-310]), "b": [1, 2.5, "x", None, True], "t": (1, (2.0,)), 7: {"z": np.arange(3, dtype=np.int32)},
             "nan": math.nan, "inf": -math.inf, "tenth": 0.1, "rng": rng.bit_generator.state, "empty": {}, "flags": np.array([True, False])}
    _store.save(tmp_path / "s.npz", "test", state)
    back = _store.load(tmp_path / "s.npz", "test")
    assert back["a"].tobytes() == state["a"].tobytes() and back["b"] == state["b"] and back["t"] == state["t"]
    assert back[7]["z"].dtype == np.int32 and math.isnan(back["nan"]) and back["inf"] == -math.inf and back["tenth"] == 0.1
    assert back["rng"] == state["rng"] and back["empty"] == {} and back["flags"].tolist() == [True, False]
    other = np.random.default_rng()
    other.bit_generator.state = back["rng"]
    assert other.random() == np.random.default_rng(1).random()


def test_a_stranger_s_file_is_refused(tmp_path):
    path = tmp_path / "s.npz"
    with pytest.raises(ValueError, match="cannot be read"):
        _store.load(path, "test")
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="no checkpoint of fastmd's"):
        _store.load(path, "test")
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("other.npy", b"x")
    with pytest.raises(ValueError, match="no checkpoint of fastmd's"):
        _store.load(path, "test")
    _store.save(path, "md", {})
    with pytest.raises(ValueError, match="a checkpoint of 'md', expected one of 'training'"):
        _store.load(path, "training")
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match="no checkpoint"):
        _store.load(path, "md")


def test_pickles_are_never_opened(tmp_path):
    path, flag = tmp_path / "evil.npz", tmp_path / "flag"

    class Evil:
        def __reduce__(self):
            return open, (str(flag), "w")

    text = json.dumps({"fastmd": "md", "state": {"a": "a0"}})
    np.savez(path, state=np.frombuffer(text.encode(), np.uint8), a0=np.array([Evil()], dtype=object))
    with pytest.raises(ValueError):
        _store.load(path, "md")
    assert not flag.exists()


def test_what_cannot_be_stored_says_so(tmp_path):
    with pytest.raises(TypeError, match="cannot store a set"):
        _store.save(tmp_path / "s.npz", "md", {"x": {1, 2}})
    assert not list(tmp_path.iterdir())
