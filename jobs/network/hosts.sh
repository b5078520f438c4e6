#!/usr/bin/env bash
# Hosts on this machine: network namespaces with a name and an address each, joined by a switch, over links whose
# bandwidth can be set. For root, with iproute2. Their names begin with what HOSTS says (default: mpisign).
#
#   hosts.sh possible        whether this machine can; if it cannot, says why, with status 3
#   hosts.sh up N            make $HOSTS-0 ... $HOSTS-(N-1)
#   hosts.sh names           a line for each host
#   hosts.sh shape RATE [BURST]  every link carries RATE in either direction, as tc writes it: 100mbit; after a pause
#                            BURST passes at once (default: 64kb)
#   hosts.sh unshape         every link is as fast as the machine
#   hosts.sh bytes           a line for each host: its name, the bytes it has sent, the bytes it has received
#   hosts.sh down            end what runs on the hosts, and remove them
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
prefix=${HOSTS:-mpisign}
switch=$prefix-switch
queue=(tbf latency 200ms burst) # netem, which would delay too, is not in every kernel

say() { printf 'hosts.sh: %s\n' "$*" >&2; }

# All that is needed is tried in a namespace without a name, which ends with its process.
possible() {
    local tool
    [ "$(id -u)" = 0 ] || { say "expected root: nobody else makes network namespaces"; return 3; }
    for tool in ip tc unshare; do
        command -v "$tool" >/dev/null || { say "no command $tool; it is in iproute2 or util-linux"; return 3; }
    done
    unshare --net --uts --mount bash -c 'ip link add end0 type veth && ip link add switch type bridge &&
        tc qdisc add dev end0 root "$@" rate 1mbit' try "${queue[@]}" 64kb 2>/dev/null ||
        { say "this system makes no network namespaces with shaped links"; return 3; }
}

# namespaces: those of this prefix, the hosts by their number, the switch at the end.
namespaces() {
    ip netns list | awk -v start="$prefix-" 'index($1, start) == 1 && substr($1, length(start) + 1) ~ /^([0-9]+|switch)$/ {
        print $1 }' | sort --version-sort
}

names() { namespaces | grep -vx "$switch" || true; }

# address NUMBER: of Ethernet.
address() { printf '02:00:0a:4d:00:%02x' "$1"; }

# host NUMBER: its end of the link is eth0, the switch's end is called after its number.
# It speaks no IPv6, and is told who the others are: the links carry what ranks send and nothing else, and what is told
# does not count where the kernel holds at most 1024 neighbours for all hosts together, which 33 of them would need.
host() {
    local name=$prefix-$1
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip link add eth0 netns "$name" type veth peer name "port$1" netns "$switch"
    ip -n "$name" link set eth0 address "$(address "$1")" addrgenmode none
    ip -n "$switch" link set "port$1" addrgenmode none
    ip -n "$name" address add "10.77.0.$((10 + $1))/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" -batch "$neighbours"
    ip -n "$switch" link set "port$1" master bridge up
    # `ip netns exec` shows a host the files that are here in place of those in /etc.
    mkdir -p "/etc/netns/$name"
    cp "$known" "/etc/netns/$name/hosts"
}

up() {
    local i known neighbours
    [[ ${1:-} =~ ^[1-9][0-9]?$ ]] || { say "expected how many hosts, 1 to 99, got ${1:-nothing}"; return 2; }
    possible
    [ -z "$(namespaces)" ] || { say "hosts called $prefix-* are there already; HOSTS=name makes others"; return 2; }
    known=$(mktemp)
    neighbours=$(mktemp)
    trap "rm -f '$known' '$neighbours'; down" EXIT # what was begun and not finished
    { echo 127.0.0.1 localhost; for ((i = 0; i < $1; i++)); do echo "10.77.0.$((10 + i)) $prefix-$i"; done; } >"$known"
    for ((i = 0; i < $1; i++)); do
        echo "neighbour replace 10.77.0.$((10 + i)) lladdr $(address "$i") nud permanent dev eth0"
    done >"$neighbours"
    ip netns add "$switch"
    ip -n "$switch" link add bridge type bridge
    ip -n "$switch" link set bridge addrgenmode none up
    for ((i = 0; i < $1; i++)); do host "$i"; done
    trap - EXIT
    rm "$known" "$neighbours"
}

# Both ends of each link: what the host sends, and what it is sent.
shape() {
    local name
    for name in $(names); do
        ip netns exec "$name" tc qdisc replace dev eth0 root "${queue[@]}" "${2:-64kb}" rate "$1"
        ip netns exec "$switch" tc qdisc replace dev "port${name##*-}" root "${queue[@]}" "${2:-64kb}" rate "$1"
    done
}

unshape() {
    local name
    for name in $(names); do
        ip netns exec "$name" tc qdisc del dev eth0 root 2>/dev/null || true
        ip netns exec "$switch" tc qdisc del dev "port${name##*-}" root 2>/dev/null || true
    done
}

bytes() {
    local name
    for name in $(names); do
        ip netns exec "$name" sh -c 'cd /sys/class/net/eth0/statistics && echo "$1" $(cat tx_bytes rx_bytes)' sh "$name"
    done
}

down() {
    local name
    for name in $(namespaces); do
        ip netns pids "$name" | xargs --no-run-if-empty kill -KILL 2>/dev/null || true
    done
    for name in $(namespaces); do
        ip netns delete "$name"
        rm -rf "/etc/netns/$name"
    done
    rmdir /etc/netns 2>/dev/null || true
}

[[ $prefix =~ ^[A-Za-z][A-Za-z0-9]*$ ]] || { say "HOSTS=$prefix: expected letters and digits"; exit 2; }
case ${1:-} in
    possible | names | unshape | bytes | down) "$1" ;;
    up) up "${2:-}" ;;
    shape) shape "${2:?expected a rate, e.g. 100mbit}" "${3:-}" ;;
    *) sed -n '2,/^set/s/^#//p' "$0" >&2; exit 2 ;;
esac
