#!/usr/bin/env bash
# Create the virtual environment, and say what is missing where that cannot be.
#
# Debian splits ensurepip off into python3-venv; as root it is installed here,
# so that the first `make` on a fresh machine is also the last one needed.
#
# Usage: tools/venv.sh PYTHON FOLDER
set -euo pipefail
python=$1
folder=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Holdfast needs Python 3.11 or newer; $python is $("$python" --version 2>&1)." >&2
    echo "Name another one: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Install a Debian package, if this machine lets us.
debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return 1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" ||
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@"; }
}

if ! "$python" -c 'import ensurepip' 2> /dev/null; then
    debian "python$version-venv" || {
        echo "$python has no ensurepip (Debian and Ubuntu: apt-get install python$version-venv)." >&2
        exit 1
    }
fi
if ! "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'; then
    debian "python$version-dev" || {
        echo "$python has no Python.h (Debian and Ubuntu: apt-get install python$version-dev)." >&2
        exit 1
    }
fi

"$python" -m venv --clear "$folder"
