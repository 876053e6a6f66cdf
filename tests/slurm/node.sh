#!/usr/bin/env bash
# A real Slurm on the loopback, of two nodes that are this machine, for the tests marked `slurm`: `node.sh up`, `node.sh down`, `node.sh conf`.
# Debian's packages, no systemd, root. Everything it writes is in one folder; `up` twice and `down` twice do no harm.
set -euo pipefail

state=${GRADYN_SLURM_FOLDER:-${TMPDIR:-/tmp}/gradyn-slurm}
conf=$state/slurm.conf
host=$(hostname -s)
packages="slurmctld slurmd slurm-client munge"

fail() { echo "make slurm-$action: $*" >&2; exit 1; }

# `runs NAME PROGRAM`: whether the process whose id is in NAME.pid is there and is that program.
runs() { [ -s "$state/$1.pid" ] && [ "$(cat "/proc/$(cat "$state/$1.pid")/comm" 2>/dev/null)" = "$2" ]; }

# Closes what is open beyond the three streams: a caller's pipe must not wait for a daemon that inherited it.
close_others() { for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done; }

# `start NAME PROGRAM ARGUMENTS`: a fresh session without our streams.
start() {
    runs "$1" "$2" && return 0
    (cd / && close_others && SLURM_CONF=$conf setsid bash -c 'echo $$ >"$1"; shift; exec "$@"' start "$state/$1.pid" "${@:2}" </dev/null >"$state/$1.out" 2>&1 &)
}

stop() {
    runs "$1" "$2" || return 0
    local pid
    pid=$(cat "$state/$1.pid")
    kill "$pid"
    for _ in $(seq 50); do runs "$1" "$2" || return 0; sleep 0.1; done
    kill -9 "$pid"
}

configure() {
    mkdir -p "$state/spool/plain" "$state/spool/contested" "$state/control" "$state/munge"
    chmod 755 "$state"
    [ -s "$state/munge/key" ] || head -c 128 /dev/urandom >"$state/munge/key"
    chown -R munge "$state/munge"
    chmod 755 "$state/munge"
    chmod 400 "$state/munge/key"
    # What is not the default, and why: credentials expire soon, or a requeued job waits two minutes; CPUs are declared that the
    # machine may not have; preemption sends the user's signal first; a job of the high partition preempts those of the low one, on a
    # node of their own; arrays are short, so that sweeps need several.
    cat >"$conf" <<CONF
ClusterName=gradyn
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket,cred_expire=5
StateSaveLocation=$state/control
SlurmdSpoolDir=$state/spool/%n
SlurmctldPidFile=$state/slurmctld.own
SlurmdPidFile=$state/%n.own
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=300
MaxArraySize=5
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=100000,sched_interval=2,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=plain NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=12 RealMemory=16000 State=UNKNOWN
NodeName=contested NodeHostname=$host NodeAddr=127.0.0.1 Port=16819 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=plain Default=YES PriorityTier=1 MaxTime=60 PreemptMode=OFF State=UP
PartitionName=low Nodes=contested GraceTime=10 PriorityTier=1 MaxTime=60 State=UP
PartitionName=high Nodes=contested PriorityTier=2 MaxTime=60 PreemptMode=OFF State=UP
CONF
}

up() {
    [ "$(id -u)" = 0 ] || fail "must be run by root, who may install and start slurmd; got user $(id -un)."
    if ! command -v slurmctld slurmd sbatch munged >/dev/null; then
        command -v apt-get >/dev/null || fail "needs Debian's packages $packages, and here is no apt-get."
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    fi
    configure
    if ! runs munged munged; then
        rm -f "$state/munge/pid"
        (cd / && close_others && setsid runuser -u munge -- munged --foreground --socket="$state/munge/socket" --key-file="$state/munge/key" --pid-file="$state/munge/pid" \
            --log-file="$state/munge/log" --seed-file="$state/munge/seed" </dev/null >/dev/null 2>&1 &)
        for _ in $(seq 100); do [ -s "$state/munge/pid" ] && break; sleep 0.1; done
        [ -s "$state/munge/pid" ] || fail "munged did not start; $state/munge/log says why."
        cp "$state/munge/pid" "$state/munged.pid"
    fi
    start slurmctld slurmctld -D -f "$conf"
    for node in plain contested; do start $node slurmd -D -f "$conf" -N $node; done
    for _ in $(seq 300); do
        if [ "$(SLURM_CONF=$conf sinfo -h -N -o %T 2>/dev/null | sort -u | grep -cvE '^(idle|mixed|allocated)$')" = 0 ] &&
            SLURM_CONF=$conf sinfo -h >/dev/null 2>&1; then
            echo "export SLURM_CONF=$conf"
            return
        fi
        sleep 0.1
    done
    fail "the nodes did not become idle in 30 s; $state/*.log say why."
}

down() {
    # Jobs first: their processes are nobody's children.
    if runs slurmctld slurmctld; then
        export SLURM_CONF=$conf
        timeout 10 scancel -u root || true
        for _ in $(seq 100); do [ -z "$(timeout 10 squeue -h || true)" ] && break; sleep 0.1; done
    fi
    stop plain slurmd
    stop contested slurmd
    stop slurmctld slurmctld
    stop munged munged
    rm -rf "$state"
}

action=${1:-}
case $action in
    up | down) $action ;;
    conf) echo "$conf" ;;
    *) echo "usage: $0 up|down|conf" >&2; exit 2 ;;
esac
