"""What `./run` does: make `.venv` from the lock files when they changed, then start what was asked for.

Standard library only: this file runs before anything is installed, on any Python from 3.11 on.

The virtual environment has two layers, `requirements.lock` (what the relay needs) and on top of it
`requirements-dev.lock` (what the tests and checks need, added the first time somebody asks for them).
`./run fuzz` adds a third, `requirements-fuzz.lock`, where there are wheels of the fuzzer.
Each layer leaves a stamp when it is complete; a stamp that no longer fits means the layer is made again.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("RELAY_VENV", ROOT / ".venv")).absolute()
ON_WINDOWS = os.name == "nt"
RUNTIME_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
FUZZ_LOCK = ROOT / "requirements-fuzz.lock"

CHECKED_PATHS = ("relay", "migrations", "tests", "bench", "bootstrap.py")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"  # has no -m entry

# Large letters in pages of two megabytes: a fifth of the page faults, a sixth off the time for one of 10 MB.
# The C library reads this as it starts; if it is not glibc, or there are no such pages, it means nothing.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# What a caller's shell may carry that would send packages, or imports, somewhere else than into .venv.
MISLEADING = frozenset(
    {
        "PYTHONHOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_NO_BINARY",
        "PIP_ONLY_BINARY",
    }
)

SYSTEM_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/cert.pem",  # macOS, BSD
)


# A worker for each core; starting them costs more than it saves where only some tests are asked for.
ALL_TESTS = ("-m", "pytest", "-q", "-n", "auto")


def main() -> None:
    """Prepare the environment the command needs, then become that command."""
    command, *rest = sys.argv[1:] or ["serve"]
    os.chdir(ROOT)
    if command == "lock":
        remake_locks(rest)
    elif command == "test":
        prepare(with_dev=True)
        become(*(("-m", "pytest", *rest) if rest else ALL_TESTS))
    elif command == "clients":
        prepare(with_dev=True)
        become("tests/clients/send_with_everything.py", *rest)
    elif command == "fuzz":
        prepare(with_dev=True, with_fuzz=True)
        become("tests/fuzz/run.py", *rest)
    elif command == "check":
        prepare(with_dev=True)
        sys.exit(check())
    else:
        prepare(with_dev=False)
        become("-m", "relay", command, *rest)


# --- the checks ------------------------------------------------------------------------------------------


def check() -> int:
    """Run every check, whatever the ones before it said; the tests last, so that they have the last word."""
    failed = [name for name, step in static_checks().items() if not passes(name, step)]
    say(f"check: before the tests, FAILED: {', '.join(failed)}" if failed else "check: all well so far")
    tests_pass = passes("tests", ALL_TESTS)
    return 0 if tests_pass and not failed else 1


def static_checks() -> dict[str, tuple[str, ...]]:
    """Return what each check that starts nothing is called, and how Python runs it."""
    present = [path for path in CHECKED_PATHS if (ROOT / path).exists()]
    return {
        "format": ("-m", "ruff", "format", "--check", "."),
        "lint": ("-m", "ruff", "check", "."),
        "types": ("-m", "mypy", "--strict", *present),
        "imports": ("-c", LINT_IMPORTS, "--no-logo"),
    }


def passes(name: str, step: tuple[str, ...]) -> bool:
    """Run one named step of the checks, its output in plain view."""
    say(f"check: {name}")
    return subprocess.run([venv_python(), *step], env=clean_environment(), check=False).returncode == 0


# --- the virtual environment -----------------------------------------------------------------------------


def prepare(*, with_dev: bool, with_fuzz: bool = False) -> None:
    """Make sure `.venv` holds what the locks say; cost nothing when it already does."""
    layers = (RUNTIME_LOCK, *([DEV_LOCK] * with_dev), *([FUZZ_LOCK] * with_fuzz))
    try:
        if not are_ready(layers):
            make_ready(layers)
    except OSError as fault:
        sys.exit(
            f"relay: could not prepare {VENV} ({fault.filename}: {fault.strerror}).\n"
            "Be the user whom this folder belongs to, or let RELAY_VENV name another place."
        )


def make_ready(layers: tuple[Path, ...]) -> None:
    """Make these layers, unless somebody else does at this moment: then wait until they are made."""
    with only_one_at_a_time():
        if are_ready(layers):  # whoever held the lock before us made it
            return
        started = time.monotonic()
        say(f"preparing {VENV} (about half a minute, once)")
        if not are_ready((RUNTIME_LOCK,)):
            make_venv()
        install(*layers)
        for layer in layers:
            stamp(layer).write_text(layer_key(layer))
        say(f"ready in {time.monotonic() - started:.0f} s")


def are_ready(layers: tuple[Path, ...]) -> bool:
    """Say whether these layers are complete and made from today's locks."""
    return venv_python().exists() and all(
        stamp(layer).exists() and stamp(layer).read_text() == layer_key(layer) for layer in layers
    )


def stamp(layer: Path) -> Path:
    """Return the file that says, by the key inside, that a lock's layer is complete."""
    return VENV / f".{layer.name}-installed"


def layer_key(layer: Path) -> str:
    """Change whenever a layer must be made again: other libraries, other Python, a moved checkout.

    Each layer has its own, so that adding the tools leaves the runtime's stamp valid.  A Python that was only
    mended (3.11.2 to 3.11.3) is no other one: a relay may run from what would be made again.
    """
    python = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
    maker = f"{python}|{sysconfig.get_platform()}|{VENV}"
    return hashlib.sha256(maker.encode() + layer.read_bytes()).hexdigest()


def make_venv() -> None:
    """Put an empty virtual environment in the place of whatever was there."""
    ensure_venv_can_be_made()
    shutil.rmtree(VENV, ignore_errors=True)
    if not succeeds(sys.executable, "-m", "venv", VENV):
        sys.exit("relay: could not make the virtual environment")


def ensure_venv_can_be_made() -> None:
    """Debian and Ubuntu ship ensurepip apart: install it if we may, else say exactly what to type."""
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: F401, PLC0415 (only asking whether it is there)

        return
    # A Debian bare enough to lack ensurepip usually lacks the CA certificates too.
    packages = [f"python{sys.version_info.major}.{sys.version_info.minor}-venv", "ca-certificates"]
    apt = shutil.which("apt-get")
    if apt and not ON_WINDOWS and os.geteuid() == 0:
        say(f"installing {' '.join(packages)}")
        install_them = (apt, "install", "-y", "-qq", "--no-install-recommends", *packages)
        if succeeds(apt, "update", "-qq") and succeeds(*install_them):
            return
    sys.exit(
        "relay: this Python cannot make virtual environments.\n"
        f"Run:  sudo apt install {' '.join(packages)}\nthen try again."
    )


def install(*locks: Path) -> None:
    """Install exactly what the locks name, every file checked against its hash."""
    requirements = [word for lock in locks for word in ("-r", lock)]
    checked = ("install", "-q", "--require-hashes", *requirements)
    # uv is several times faster where there is one; it compiles only when told, and without .pyc files
    # every start would take two seconds more.
    if uv := shutil.which("uv"):
        if succeeds(uv, "pip", *checked, "--compile-bytecode", "--python", venv_python()):
            return
        say("uv did not manage it, trying pip")
    if not succeeds(venv_python(), "-m", "pip", *checked, "--compile"):
        sys.exit("relay: could not install the libraries (is the package index reachable?)")


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Let a second `./run` wait until the first has prepared the environment for both."""
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with VENV.with_name(VENV.name + ".lock").open("w") as lock:
        with contextlib.suppress(ImportError):  # Windows has no fcntl: two first starts at once race there
            import fcntl  # noqa: PLC0415

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- the locks -------------------------------------------------------------------------------------------


def remake_locks(options: list[str]) -> None:
    """Resolve pyproject.toml into the two lock files, for every platform and Python we support at once."""
    with tempfile.TemporaryDirectory(prefix="relay-lock-") as scratch:
        compile_ = [*uv_command(Path(scratch)), "pip", "compile", "-q", "--no-config", "--universal"]
        compile_ += ["--python-version", "3.11", "--generate-hashes"]
        compile_ += ["--custom-compile-command", "./run lock", *options]
        runtime, dev = RUNTIME_LOCK.name, DEV_LOCK.name
        if not succeeds(*compile_, "pyproject.toml", "-o", runtime):
            sys.exit(f"relay: could not resolve {runtime}")
        # The runtime lock constrains the second: both can always be installed together.
        if not succeeds(*compile_, "--group", "dev", "-c", runtime, "-o", dev):
            sys.exit(f"relay: could not resolve {dev}")
        fuzz = FUZZ_LOCK.name
        if not succeeds(*compile_, "--group", "fuzz", "-c", dev, "-o", fuzz):
            sys.exit(f"relay: could not resolve {fuzz}")
    say(f"wrote {runtime}, {dev} and {fuzz}")


def uv_command(scratch: Path) -> list[str]:
    """Return how to call uv: the one on the PATH, or one installed into a scratch directory."""
    if uv := shutil.which("uv"):
        return [uv]
    ensure_venv_can_be_made()
    python = str(venv_python(scratch))
    made = succeeds(sys.executable, "-m", "venv", scratch)
    if not (made and succeeds(python, "-m", "pip", "install", "-q", "uv")):
        sys.exit("relay: could not install uv, which makes the locks")
    return [python, "-m", "uv"]


# --- the surroundings ------------------------------------------------------------------------------------


def venv_python(venv: Path = VENV) -> Path:
    """Return the interpreter of a virtual environment.

    Tools are always called as `python -m tool`: the scripts beside it name their interpreter in the first
    line, which breaks when the path holds a space or is very long.
    """
    return venv / ("Scripts/python.exe" if ON_WINDOWS else "bin/python")


def clean_environment() -> dict[str, str]:
    """Return the caller's environment without what would lead pip, uv or Python astray."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    # pip before 24.2, and uv, trust only the roots they bring along; a company's own are in the system's.
    if bundle := next((path for path in SYSTEM_CA_BUNDLES if Path(path).exists()), None):
        environment.setdefault("PIP_CERT", bundle)
        environment.setdefault("SSL_CERT_FILE", bundle)
    return environment


def succeeds(*command: object) -> bool:
    """Run a command quietly; when it fails, show the end of what it said."""
    ended = subprocess.run(
        [str(word) for word in command],
        env=clean_environment(),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ended.returncode:
        say("\n".join(ended.stdout.splitlines()[-20:]))
    return ended.returncode == 0


def become(*arguments: str) -> NoReturn:
    """Replace this process by the environment's Python, so that signals and exit codes are its own."""
    command = [str(venv_python()), *arguments]
    environment = LARGE_PAGES | {name: value for name, value in os.environ.items() if name not in MISLEADING}
    if ON_WINDOWS:  # there, exec would give the prompt back while the program still runs
        sys.exit(subprocess.call(command, env=environment))
    os.execve(command[0], command, environment)


def say(text: str) -> None:
    """Speak on standard error: standard output belongs to the command that follows."""
    sys.stderr.write(f"relay: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # as a shell tells it
