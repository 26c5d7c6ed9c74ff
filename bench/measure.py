"""What a run costs: the peer's processor time and memory, writes to disk, and how busy all the rest was."""

import hashlib
import os
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEGABYTE = 1e6
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.25
PSS_SAMPLE_SECONDS = 2.0  # summing page tables is dear: seldom


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor seconds since some start; only differences mean anything."""

    user: float
    system: float
    total: float


class Cgroup:
    """The control group that holds every process of one peer (version 1 or 2; needs root)."""

    def __init__(self, name: str) -> None:
        self.is_unified = (CGROUPS / "cgroup.controllers").exists()
        roots = [CGROUPS] if self.is_unified else [CGROUPS / "cpuacct", CGROUPS / "memory"]
        self.directories = [root / f"smtpbench_{name}" for root in roots]
        for directory in self.directories:
            directory.mkdir(exist_ok=True)

    def pids(self) -> list[int]:
        """The processes in the group now."""
        try:
            return [int(pid) for pid in (self.directories[0] / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def cpu(self) -> Cpu:
        """Processor time of everything that ever ran in the group."""
        directory = self.directories[0]
        if self.is_unified:
            stat = dict(line.split() for line in (directory / "cpu.stat").read_text().splitlines())
            user, system, total = (int(stat[f"{kind}_usec"]) / 1e6 for kind in ("user", "system", "usage"))
        else:
            files = ("cpuacct.usage_user", "cpuacct.usage_sys", "cpuacct.usage")
            user, system, total = (int((directory / file).read_text()) / 1e9 for file in files)
        return Cpu(user, system, total)

    def anonymous_bytes(self) -> int:
        """Memory that is no file's; 0 where the memory controller is off."""
        try:
            lines = (self.directories[-1] / "memory.stat").read_text().splitlines()
        except OSError:
            return 0
        stat = dict(line.split() for line in lines)
        return int(stat["anon"] if self.is_unified else stat["rss"])

    def remove(self) -> None:
        """Give the group back; one that still holds processes stays."""
        for directory in self.directories:
            try:
                directory.rmdir()
            except OSError:
                continue


def resident_bytes(pid: int) -> int:
    """Resident memory of one process, shared pages included; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """Resident memory of one process, each shared page divided among those who share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class MemorySampler(threading.Thread):
    """Keeps the peaks of a group's memory until it is stopped."""

    def __init__(self, group: Cgroup) -> None:
        super().__init__(daemon=True)
        self.group = group
        self.ended = threading.Event()
        self.rss = self.pss = self.anonymous = self.processes = 0

    def run(self) -> None:
        """Sample until stop()."""
        pss_due = 0.0
        while not self.ended.is_set():
            pids = self.group.pids()
            self.processes = max(self.processes, len(pids))
            self.rss = max(self.rss, sum(map(resident_bytes, pids)))
            self.anonymous = max(self.anonymous, self.group.anonymous_bytes())
            if time.monotonic() >= pss_due:
                self.pss = max(self.pss, sum(map(proportional_bytes, pids)))
                pss_due = time.monotonic() + PSS_SAMPLE_SECONDS
            self.ended.wait(SAMPLE_SECONDS)

    def stop(self) -> None:
        """End the sampling; the peaks are final."""
        self.ended.set()
        self.join()


@dataclass(frozen=True, slots=True)
class Machine:
    """Counters of the whole machine since it started."""

    cpu: float  # seconds in which a processor worked
    iowait: float
    steal: float
    writes: int
    sectors: int
    flushes: int


def read_machine(directory: Path) -> Machine:
    """The machine's counters, the disk's being those of the disk that holds *directory*."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, iowait, irq, softirq, steal = (count / TICKS_PER_SECOND for count in ticks)
    device = directory.stat().st_dev
    writes = sectors = flushes = 0
    for line in Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if (int(fields[0]), int(fields[1])) == (os.major(device), os.minor(device)):
            writes, sectors = int(fields[7]), int(fields[9])
            flushes = int(fields[18]) if len(fields) > 18 else 0
    return Machine(user + nice + system + irq + softirq, iowait, steal, writes, sectors, flushes)


def wait_until_quiet(directory: Path, cores: float, seconds: float) -> bool:
    """Wait at most *seconds* until the machine used less than *cores* in each of two successive seconds."""
    deadline = time.monotonic() + seconds
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        cpu, clock = read_machine(directory).cpu, time.monotonic()
        time.sleep(1)
        busy = (read_machine(directory).cpu - cpu) / (time.monotonic() - clock)
        quiet = quiet + 1 if busy < cores else 0
    return quiet == 2


def calibrate(directory: Path) -> dict[str, float]:
    """How fast the machine is right now: hashing 16 MiB, and overwriting 10 KiB durably (medians)."""
    block = bytes(1 << 20)
    hashing: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        digest = hashlib.sha256()
        for _ in range(16):
            digest.update(block)
        hashing.append(time.perf_counter() - start)
    syncing: list[float] = []
    with (directory / "calibration").open("wb", buffering=0) as file:
        file.write(block)
        os.fsync(file.fileno())
        for index in range(60):
            start = time.perf_counter()
            os.pwrite(file.fileno(), block[:10240], index * 10240)
            os.fdatasync(file.fileno())
            syncing.append(time.perf_counter() - start)
    return {
        "calib_cpu_ms": round(statistics.median(hashing) * 1e3, 2),
        "calib_fsync_us": round(statistics.median(syncing) * 1e6),
    }


class Meter:
    """Reads every counter at its making and again at finish()."""

    def __init__(self, group: Cgroup, directory: Path) -> None:
        self.group = group
        self.directory = directory
        self.sampler = MemorySampler(group)
        self.machine = read_machine(directory)
        self.cpu = group.cpu()
        self.sampler.start()

    def finish(self, messages: int) -> dict[str, float]:
        """The differences since the start, and the peaks of memory."""
        self.sampler.stop()
        cpu, machine = self.group.cpu(), read_machine(self.directory)
        spent = cpu.total - self.cpu.total
        return {
            "cpu_s": round(spent, 3),
            "cpu_user_s": round(cpu.user - self.cpu.user, 3),
            "cpu_sys_s": round(cpu.system - self.cpu.system, 3),
            "cpu_s_per_1000": round(spent / max(messages, 1) * 1000, 3),
            "rss_peak_mb": round(self.sampler.rss / MEGABYTE, 1),
            "pss_peak_mb": round(self.sampler.pss / MEGABYTE, 1),
            "anon_peak_mb": round(self.sampler.anonymous / MEGABYTE, 1),
            "procs": self.sampler.processes,
            "machine_cpu_s": round(machine.cpu - self.machine.cpu, 2),
            "iowait_s": round(machine.iowait - self.machine.iowait, 2),
            "steal_s": round(machine.steal - self.machine.steal, 2),
            "disk_writes": machine.writes - self.machine.writes,
            "disk_mb": round((machine.sectors - self.machine.sectors) * 512 / MEGABYTE, 1),
            "disk_flushes": machine.flushes - self.machine.flushes,
        }
