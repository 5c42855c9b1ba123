"""A machine that crashes: its disk is an ext4 file system in a file, and what was not synced is gone.

Linux only, as root, with a loop device. The mount is in a mount namespace of this driver's own, and all
processes that it starts end with it: however the driver ends, the kernel takes mount and loop device away.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

# include/uapi/linux/ext4.h: the file system stops at once, and its journal is not flushed before.
EXT4_IOC_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
NO_LOG_FLUSH = struct.pack("I", 2)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
SIZE = 8 << 30  # sparse
NEEDS = "the scenario `crash` needs Linux, root, a loop device, and mount, mkfs.ext4 and setpriv on PATH"
# A child ends with the driver, so that nothing keeps the namespace.
ENDS_WITH_DRIVER = ["setpriv", "--pdeathsig", "KILL"]


def prepare():
    """A mount namespace of our own; before any thread begins, since each has its own otherwise."""
    tools = ["mount", "umount", "mkfs.ext4", "losetup", "setpriv"]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or missing:
        lacking = "this is no Linux" if not sys.platform.startswith("linux") else "this is not root"
        raise SystemExit(f"{NEEDS}: {'no ' + ', '.join(missing) if missing else lacking}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise SystemExit(f"{NEEDS}: no mount namespace ({os.strerror(ctypes.get_errno())})")


class Disk:
    """An ext4 file system in `image`, at `at`."""

    def __init__(self, image, at):
        self.image, self.at, self.is_mounted = image, at, False
        with open(image, "wb") as file:
            file.truncate(SIZE)
        os.makedirs(at, exist_ok=True)
        command("mkfs.ext4", "-q", "-F", image)
        self.mount()

    def mount(self):
        command("mount", "-t", "ext4", "-o", "loop", self.image, self.at)
        self.is_mounted = True

    def write_back(self):
        """What the page cache has is written, as by the kernel itself now and then."""
        folder = os.open(self.at, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(folder):
                raise SystemExit(f"{self.at} can't be synced: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(folder)

    def stop(self):
        """From here on nothing reaches the disk, and what has not reached it is gone."""
        folder = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(folder)

    def come_back(self):
        """Mounted again, from what the disk has; the journal is replayed."""
        self.unmount()
        self.mount()

    def unmount(self):
        if self.is_mounted:
            command("umount", self.at)
            self.is_mounted = False

    def end(self):
        """Undoes the mount; a loop device that is left is said, and not kept silent."""
        self.unmount()
        for _ in range(50):
            left = subprocess.run(["losetup", "-j", self.image], capture_output=True, text=True).stdout
            if not left:
                return
            time.sleep(0.1)
        raise SystemExit(f"a loop device is left over: {left.strip()}; losetup -d takes it away")

    def prove(self):
        """What was synced survives a crash here, and what was not is lost; else the scenario is worth nothing."""
        kept, added, lost = (os.path.join(self.at, name) for name in ("kept", "added", "lost"))
        for path in (kept, added):
            write(path, "wb", synced=True)
        write(added, "ab", synced=False)
        write(lost, "wb", synced=False)
        self.stop()
        self.come_back()
        sizes = {path: os.path.getsize(path) if os.path.exists(path) else None for path in (kept, added, lost)}
        right = {kept: BLOCK, added: BLOCK, lost: None}
        if sizes != right:
            raise SystemExit(f"a crash can't be simulated here: sizes are {sizes} after it, and should be {right}")
        for path in (kept, added):
            os.remove(path)


BLOCK = 100_000


def write(path, mode, synced):
    with open(path, mode) as file:
        file.write(b"x" * BLOCK)
        file.flush()
        if synced:
            os.fsync(file.fileno())
    if synced:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def command(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{NEEDS}: {' '.join(words)} said {done.stderr.strip() or done.returncode}")


def hold(pid):
    """Stops a process, so that it does and answers nothing more; what it waits for in the kernel goes on."""
    os.kill(pid, signal.SIGSTOP)
    for _ in range(2000):
        if all(state in "TtDZX" for state in states(pid)):
            return
        time.sleep(0.001)
    raise SystemExit(f"process {pid} does not stop")


def states(pid):
    """What each thread is at: T is stopped, D waits for the disk and stops before it does anything else."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii", errors="replace") as file:
                yield file.read().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            pass


def crash(server, disk):
    """The server and its disk end in one moment: it acknowledges nothing that comes after the disk's end."""
    hold(server.child.pid)
    disk.stop()
    server.end_now()
