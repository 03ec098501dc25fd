"""States on disk (checkpoints of MD, sampling and training): nested dicts and lists of numbers, text and arrays in one .npz.

The structure is JSON, each array a plain entry of the archive; nothing is pickled, so a file from a stranger is data and no more.
Every number reads back to the same bits.
"""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from . import _check

_LARGEST = 1 << 34  # bytes of one state, unpacked


def save(path, kind, state):
    """Writes beside, then renames: whoever reads sees the old state or the new one. `kind` says what it is the state of."""
    arrays = {}
    text = json.dumps({"fastmd": kind, "state": _pack(state, arrays)})
    file = io.BytesIO()
    np.savez(file, state=np.frombuffer(text.encode(), np.uint8), **arrays)
    _check.write_bytes(path, file.getvalue())


def load(path, kind):
    """The state that save wrote. Raises ValueError for a file that is none, or one of another kind."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as z:
            if sum(i.file_size for i in z.infolist()) > _LARGEST:
                raise ValueError(f"{path}: larger than {_LARGEST >> 30} GiB unpacked, no checkpoint")
        with np.load(path, allow_pickle=False) as archive:
            document = json.loads(bytes(archive["state"]))
            found = document["fastmd"]
            if found == kind:
                return _unpack(document["state"], archive)
    except OSError as e:
        raise ValueError(f"{path}: cannot be read ({e.strerror or e})") from None
    except (zipfile.BadZipFile, KeyError, TypeError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise ValueError(f"{path}: no checkpoint of fastmd's, or a damaged one ({type(e).__name__}: {e})") from None
    raise ValueError(f"{path}: is a checkpoint of {found!r}, expected one of {kind!r}")


def _pack(x, arrays):
    if isinstance(x, dict):
        return {"d": [[k if isinstance(k, (str, int)) else str(k), _pack(v, arrays)] for k, v in x.items()]}
    if isinstance(x, (list, tuple)):
        return {"l" if isinstance(x, list) else "t": [_pack(v, arrays) for v in x]}
    if isinstance(x, (np.ndarray, np.generic)):
        if np.asarray(x).dtype.kind not in "biufUS":
            raise TypeError(f"cannot store an array of dtype {np.asarray(x).dtype}")
        name = f"a{len(arrays)}"
        arrays[name] = np.asarray(x)
        return {"a": name}
    if isinstance(x, float):
        return {"f": x.hex()}  # NaN and infinity too
    if x is None or isinstance(x, (bool, int, str)):
        return x
    raise TypeError(f"cannot store a {type(x).__name__}")


def _unpack(x, archive):
    if not isinstance(x, dict):
        return x
    ((tag, v),) = x.items()
    if tag == "d":
        return {k: _unpack(y, archive) for k, y in v}
    if tag in "lt":
        return (list if tag == "l" else tuple)(_unpack(y, archive) for y in v)
    if tag == "f":
        return float.fromhex(v)
    return archive[v]
