"""The calls of the kernel that bubblewrap keeps from tools, as a program for its filter (seccomp(2), bpf(4)).

They are those that no namespace confines: keys of the user's, and parts of the kernel that it was broken by most often
and that what tools run does without. A call is refused with EPERM.
"""

import errno
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_X32 = 0x40000000  # the same calls by other numbers
_FAMILIES = 1, 2, 10, 16  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; a network namespace says nothing of AF_VSOCK
_SAME_EVERYWHERE = 425, 426, 427  # io_uring_setup, io_uring_enter, io_uring_register


@dataclass(frozen=True, slots=True)
class _Machine:
    """What seccomp(2) calls a machine, the number of socket(2), and those of what is refused.

    These are add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd and open_by_handle_at.
    """

    architecture: int
    socket: int
    refused: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 41, (248, 249, 250, 321, 298, 323, 304)),
    "aarch64": _Machine(0xC00000B7, 198, (217, 218, 219, 280, 241, 282, 265)),
}


def program(machine: str) -> bytes:
    """Return the filter for a machine as uname(2) calls it; nothing for one that is not known."""
    if (one := _MACHINES.get(machine)) is None:
        return b""
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, one.architecture, if_so=1),
        _step(_RETURN, _REFUSE),
        _step(_LOAD, _NUMBER_AT),
        *_refuse_if(_AT_LEAST, _X32),
    ]
    for number in (*one.refused, *_SAME_EVERYWHERE):
        steps += _refuse_if(_EQUAL, number)
    steps += [_step(_EQUAL, one.socket, if_so=1), _step(_RETURN, _ALLOW), _step(_LOAD, _FIRST_ARGUMENT_AT)]
    for family in _FAMILIES:
        steps += [_step(_EQUAL, family, if_not=1), _step(_RETURN, _ALLOW)]
    return b"".join([*steps, _step(_RETURN, _REFUSE)])


def _refuse_if(what: int, value: int) -> list[bytes]:
    return [_step(what, value, if_not=1), _step(_RETURN, _REFUSE)]


def _step(what: int, value: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    """Write one step of the program; the conditions are how many steps are left out."""
    return struct.pack("=HBBI", what, if_so, if_not, value)
