#!/usr/bin/env bash
# The real servers that the tests talk to: tests/peers.txt names them.
#
#   tools/peers.sh install   as root, install what is missing from Debian's packages
#   tools/peers.sh report    say loudly what is still missing; with CI=true, fail
#
# The packages bring services of their own. None may run: the tests start
# theirs on ports of their own, and 6379 belongs to `make up`.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Print one line a peer that is not there: "command package".
missing() {
    while read -r command package; do
        command -v "$command" > /dev/null || echo "$command $package"
    done < <(grep -v -e '^#' -e '^$' tests/peers.txt)
}

# Tell Debian that no service is to be started while we install.
policy=/usr/sbin/policy-rc.d
hold_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
}

# Nor at the next start of the machine.
disable_services() {
    local service
    for service in "$@"; do
        if command -v systemctl > /dev/null && [ -d /run/systemd/system ]; then
            systemctl disable --quiet --now "$service" 2> /dev/null || true
        elif command -v update-rc.d > /dev/null; then
            update-rc.d "$service" disable 2> /dev/null || true
        fi
    done
}

install() {
    local packages
    packages=$(missing | cut -d' ' -f2 | sort -u)
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        return 0 # the report says so
    fi
    echo "Installing the peers of the tests: $(echo $packages)"
    export DEBIAN_FRONTEND=noninteractive
    hold_services
    # shellcheck disable=SC2086
    if ! apt-get install -y -q --no-install-recommends $packages; then
        apt-get update -q || true
        # One at a time: what cannot be had does not keep the others away.
        local package
        for package in $packages; do
            apt-get install -y -q --no-install-recommends "$package" ||
                echo "apt-get could not install $package" >&2
        done
    fi
    # shellcheck disable=SC2086
    disable_services $packages
}

report() {
    local absent
    absent=$(missing)
    [ -n "$absent" ] || return 0
    {
        echo
        echo "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"
        echo "!! NOT EVERYTHING WAS TESTED: these real peers are not here,"
        echo "!! and every test against them was skipped:"
        echo "$absent" | while read -r command package; do
            echo "!!     $command (Debian package $package)"
        done
        echo "!! Install them, or run make test as root on Debian."
        echo "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"
    } >&2
    [ "${CI:-}" != true ]
}

case "${1:-}" in
    install | report) "$1" ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
