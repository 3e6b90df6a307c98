"""What Windows alone has: locks by byte, handles that are passed on, and job objects, in which a process and all that
it starts end together.

Nothing of it has ever been run there. Elsewhere plainer things stand for it, with which the tests run whatever else is
written for Windows.
"""

import ctypes
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

_SYNCHRONIZE: Final = 0x100000
_STILL_WAITS: Final = 0x102
_LIMITS: Final = 9
_KILL_ON_CLOSE: Final = 0x2000


class Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("time_of_process", ctypes.c_int64),
        ("time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("least", ctypes.c_size_t),
        ("most", ctypes.c_size_t),
        ("processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
        ("counts", ctypes.c_uint64 * 6),
        ("memory_of_process", ctypes.c_size_t),
        ("memory", ctypes.c_size_t),
        ("peak_of_process", ctypes.c_size_t),
        ("peak", ctypes.c_size_t),
    )


if sys.platform == "win32":
    import msvcrt

    CAN_LOCK = True
    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _handle, _number, _pointer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p
    _kernel.CreateJobObjectW.restype = _kernel.OpenProcess.restype = _handle
    _kernel.CreateJobObjectW.argtypes = [_pointer, ctypes.c_wchar_p]
    _kernel.SetInformationJobObject.argtypes = [_handle, ctypes.c_int, _pointer, _number]
    _kernel.QueryInformationJobObject.argtypes = [_handle, ctypes.c_int, _pointer, _number, _pointer]
    _kernel.AssignProcessToJobObject.argtypes = [_handle, _handle]
    _kernel.TerminateJobObject.argtypes = [_handle, _number]
    _kernel.OpenProcess.argtypes = [_number, ctypes.c_int, _number]
    _kernel.WaitForSingleObject.argtypes = [_handle, _number]
    _kernel.CloseHandle.argtypes = [_handle]

    def lock(descriptor: int, wait: bool) -> bool:
        """Take the lock on a file until it is closed or the process ends; return False if another process has it."""
        while True:
            with suppress(OSError):
                os.lseek(descriptor, 0, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            if not wait:
                return False
            time.sleep(0.01)

    def lives(pid: int) -> bool:
        """Tell whether there is such a process."""
        process = _kernel.OpenProcess(_SYNCHRONIZE, False, pid)
        if not process:
            return False
        waits: bool = _kernel.WaitForSingleObject(process, 0) == _STILL_WAITS
        _kernel.CloseHandle(process)
        return waits

    def give(descriptor: int) -> str:
        """Let a process that is started with this descriptor have it; return the word by which it finds it."""
        handle = msvcrt.get_osfhandle(descriptor)
        os.set_handle_inheritable(handle, True)
        return str(handle)

    def take(word: str) -> int:
        """Return the descriptor that was given, for this process alone."""
        os.set_handle_inheritable(int(word), False)
        return msvcrt.open_osfhandle(int(word), 0)

    def start_options(gives: Sequence[int]) -> dict[str, Any]:
        """Return how a process is started that has these descriptors, and that no Ctrl-C for this one reaches."""
        options: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if gives:
            handles = [msvcrt.get_osfhandle(descriptor) for descriptor in gives]
            options["startupinfo"] = subprocess.STARTUPINFO(lpAttributeList={"handle_list": handles})
        return options

    class Job:
        """A process that was just started, and all that it will start. The kernel ends them when this process dies."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self._handle: int | None = _kernel.CreateJobObjectW(None, None)
            if self._handle is None:
                raise ctypes.WinError(ctypes.get_last_error())
            weakref.finalize(self, _kernel.CloseHandle, self._handle)
            limits = Limits(flags=_KILL_ON_CLOSE)
            _kernel.SetInformationJobObject(self._handle, _LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
            # It fails for a process that has ended already.
            _kernel.AssignProcessToJobObject(self._handle, int(vars(process)["_handle"]))

        def end(self) -> None:
            """Kill them all."""
            _kernel.TerminateJobObject(self._handle, 1)

        def peak_mb(self) -> int:
            """Return the most memory that one of them held at once."""
            limits = Limits()
            _kernel.QueryInformationJobObject(self._handle, _LIMITS, ctypes.byref(limits), ctypes.sizeof(limits), None)
            peak: int = limits.peak_of_process
            return peak // (1024 * 1024)

else:
    CAN_LOCK = False

    def lock(descriptor: int, wait: bool) -> bool:
        """Take no lock."""
        return wait

    def lives(pid: int) -> bool:
        """Tell whether our parent is this process."""
        return os.getppid() == pid

    def give(descriptor: int) -> str:
        """Return the word by which a process that is started with this descriptor finds it."""
        return str(descriptor)

    def take(word: str) -> int:
        """Return the descriptor that was given, for this process alone."""
        os.set_inheritable(int(word), False)
        return int(word)

    def start_options(gives: Sequence[int]) -> dict[str, Any]:
        """Return how a process is started that has these descriptors."""
        return {"pass_fds": gives}

    class Job:
        """A process alone."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self._process = process

        def end(self) -> None:
            """Kill it."""
            self._process.kill()

        def peak_mb(self) -> int:
            """Return 0."""
            return 0
