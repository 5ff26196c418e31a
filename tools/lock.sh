#!/usr/bin/env bash
# Write requirements.lock: everything that pyproject.toml names (the package,
# its extras, the group "dev"), pinned and hashed.
#
# No address of a registry goes into the file: where packages come from is a
# matter of the machine that installs them.
#
# Usage: tools/lock.sh PYTHON [pip-compile option …], e.g. --upgrade
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
mkdir -p build
"$python" - > build/dev.in <<'END'
import tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["dependency-groups"]["dev"]))
END
CUSTOM_COMPILE_COMMAND="make lock" "$python" -m piptools compile --quiet --all-extras --generate-hashes \
    --allow-unsafe --strip-extras --no-annotate --no-emit-index-url --no-emit-find-links \
    --no-emit-trusted-host --no-emit-options \
    --output-file requirements.lock "$@" pyproject.toml build/dev.in
if grep -nE '://|^--' requirements.lock; then
    echo "requirements.lock: an address or option of this machine got in" >&2
    exit 1
fi
