#!/bin/sh
# Make .venv from uv.lock. uv comes through pip into .tools/; the interpreter is the system's own.
# Usage: setup.sh STAMP. STAMP is touched last, so a set-up that was cut short is done again.
set -eu

stamp=$1
cd "$(dirname "$0")/.."
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT PYTHONPATH PYTHONHOME || true
UV_PYTHON_DOWNLOADS=never
PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_PYTHON_DOWNLOADS PIP_DISABLE_PIP_VERSION_CHECK
uv_requirement='uv>=0.9,<1'

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# A new enough interpreter, by its real path: a pyenv or asdf shim changes its mind between folders.
find_python() {
    for name in "${BASE_PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
        "$name" -c 'import sys; assert sys.version_info >= (3, 11); print(sys.executable)' \
            2>/dev/null && return 0
    done
    return 1
}

uv_by_venv() {
    rm -rf .tools/uv
    "$python" -m venv .tools/uv >.tools/setup.log 2>&1 &&
        .tools/uv/bin/python -m pip install --quiet "$uv_requirement" >>.tools/setup.log 2>&1
}

# Debian refuses pip outside an environment (PEP 668), but not into a folder of our own.
uv_by_pip_target() {
    rm -rf .tools/uv
    "$python" -m pip install --quiet --target .tools/uv "$uv_requirement" >>.tools/setup.log 2>&1
}

apt_can_help() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

install_venv_package() {
    say "python3 has neither venv nor pip: installing the package python3-venv"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } \
        >>.tools/setup.log 2>&1
}

has_venv_or_pip() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || "$python" -m pip --version >/dev/null 2>&1
}

get_uv() {
    if ! has_venv_or_pip; then
        apt_can_help || die "python3 has neither venv nor pip; install the package python3-venv" \
            "(Debian, Ubuntu: apt-get install python3-venv) and run again"
        install_venv_package || say "the package python3-venv could not be installed"
    fi
    uv_by_venv || uv_by_pip_target || {
        tail -n 15 .tools/setup.log >&2
        die "uv could not be installed through pip (above, the end of .tools/setup.log)"
    }
}

python=$(find_python) || die "Python 3.11 or newer is needed; install it" \
    "(Debian 12: apt-get install python3 python3-venv) or name it: make setup BASE_PYTHON=..."
mkdir -p .tools
uv=.tools/uv/bin/uv
"$uv" --version >/dev/null 2>&1 || get_uv

say "making .venv from uv.lock with $("$python" --version)"
# uv brings its own list of authorities; behind an inspecting proxy only the system's list will do.
"$uv" sync --frozen --quiet --compile-bytecode --python "$python" ||
    UV_SYSTEM_CERTS=1 "$uv" sync --frozen --quiet --compile-bytecode --python "$python" ||
    die "the packages of uv.lock could not be installed (above); check the network and run again"
touch "$stamp"
say "done"
