# shellcheck shell=bash disable=SC2034,SC2154  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a systemd of our own, in a container
#
# container_start boots a Debian root (made once, kept in build-long)
# under systemd-nspawn, with the built programs installed in it, and
# container_stop ends it. What is written there is in memory, and gone then.
#
# Should:  keep to control groups of its own, so that the container's systemd
#          manages nothing of the host's.
# Mustn't: use the network; leave anything but the root.

SOURCE=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

# The libraries that our programs need, as this host's packages are called.
container_libraries() {
    local library
    ldd "$BUILD/virt-lock-supervisor" | grep -oE '/[^ ]+' |
        while read -r library; do
            dpkg-query -S "*/$(basename "$library")" 2>/dev/null
        done | cut -d: -f1 | sort -u | paste -sd,
}

# Takes a minute or two, once.
container_root() {
    local suite
    ROOT=$SOURCE/build-long/root
    [ ! -e "$ROOT.complete" ] || return 0
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    rm -rf "$ROOT"
    mkdir -p "$ROOT"
    debootstrap --variant=minbase \
        --include="systemd,dbus,qemu-system-x86,$(container_libraries)" \
        "$suite" "$ROOT" >"$ROOT.log" 2>&1 || {
        tail -n 5 "$ROOT.log" >&2
        return 1
    }
    : >"$ROOT.complete"
}

# container_start: $LEADER is its first process, $VM a directory that is /vm
# there, $GROUP its control group.
container_start() {
    local nspawn
    VM=$BATS_FILE_TMPDIR/vm
    INSTALLED=$BATS_FILE_TMPDIR/installed
    mkdir -p "$VM" "$INSTALLED"
    make -s -C "$SOURCE" -o all "BUILD=$BUILD" "DESTDIR=$INSTALLED" \
        PREFIX=/usr install
    cp "$BUILD/tests/bin/fakevmm" "$BUILD/tests/bin/taker" "$INSTALLED"
    GROUP=$UNIFIED/vls-container-$$
    mkdir "$GROUP"
    cat >"$BATS_FILE_TMPDIR/nspawn" <<END_OF_SCRIPT
echo \$\$ >$GROUP/cgroup.procs
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0
exec systemd-nspawn -q --keep-unit --register=no -M vls-$$ \
    --private-network --link-journal=no --volatile=overlay --console=pipe \
    -D $ROOT --bind-ro=$INSTALLED:/opt/vls --bind=$VM:/vm -b
END_OF_SCRIPT
    sh "$BATS_FILE_TMPDIR/nspawn" </dev/null >"$BATS_FILE_TMPDIR/console" \
        2>&1 3>&- 4>&- &
    nspawn=$!
    wait_until -t 60 pgrep -P "$nspawn" -x systemd >"$BATS_FILE_TMPDIR/leader"
    LEADER=$(<"$BATS_FILE_TMPDIR/leader")
    echo "$nspawn $LEADER" >"$BATS_FILE_TMPDIR/container"
    wait_until -t 60 container_runs
    inside cp -r /opt/vls/usr/. /usr/
    inside systemctl daemon-reload
}

container_runs() {
    [ "$(inside systemctl is-system-running)" = running ]
}

container_stop() {
    local nspawn leader hierarchy
    if [ -s "$BATS_FILE_TMPDIR/container" ]; then
        read -r nspawn leader <"$BATS_FILE_TMPDIR/container"
        kill -KILL "$leader"
        wait_until -t 30 gone "$nspawn"
    fi
    # nspawn makes groups in more hierarchies than one.
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ ! -d "$hierarchy/vls-container-$$" ] ||
            wait_until remove_cgroup "$hierarchy/vls-container-$$"
    done
}

# inside COMMAND...: as root of the container
inside() {
    nsenter -t "$LEADER" -a -- env -i PATH="$PATH" "$@" 3>&- 4>&-
}

# unit_property UNIT PROPERTY
unit_property() {
    inside systemctl show -P "$2" "$(unit "$1")"
}

# property_is UNIT PROPERTY REGEX
property_is() {
    [[ $(unit_property "$1" "$2") =~ ^$3$ ]]
}

unit() {
    echo "virt-lock-supervisor@$1.service"
}

# configure NAME LINE...: /etc/virt-lock-supervisor/NAME.conf
configure() {
    local name=$1
    shift
    inside mkdir -p /etc/virt-lock-supervisor
    printf '%s\n' "$@" |
        inside sh -c "cat >/etc/virt-lock-supervisor/$name.conf"
}

start_unit() {
    inside systemctl start "$(unit "$1")"
}

# processes UNIT [SUBGROUP]: of its control group and all below, or of one group
# only ("" is the unit's own); as this host numbers them
processes() {
    local group
    group=$GROUP/payload$(unit_property "$1" ControlGroup)${2-}
    find "$group" ${2+-maxdepth 1} -name cgroup.procs -exec cat {} + | sort -n
}

# said_by UNIT: what is in the journal of it, messages only, in order
said_by() {
    inside journalctl --sync
    inside journalctl -q -o cat -u "$(unit "$1")"
}
