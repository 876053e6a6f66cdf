#!/usr/bin/env bash
# One real Slurm node on the loopback, for the tests marked `slurm`: `node.sh up`, `node.sh down`, `node.sh conf`.
# Debian's packages, no systemd, root. Everything it writes is in one folder; `up` twice and `down` twice do no harm.
set -euo pipefail

state=${GRADYN_SLURM:-${TMPDIR:-/tmp}/gradyn-slurm}
conf=$state/slurm.conf
host=$(hostname -s)
packages="slurmctld slurmd slurm-client munge"

fail() { echo "slurm-$action: $*" >&2; exit 1; }

# Whether the process whose id a file holds is there and is the program that we started.
runs() { [ -s "$state/$1.pid" ] && [ "$(cat "/proc/$(cat "$state/$1.pid")/comm" 2>/dev/null)" = "$1" ]; }

stop() {
    runs "$1" || return 0
    local pid
    pid=$(cat "$state/$1.pid")
    kill "$pid"
    for _ in $(seq 50); do runs "$1" || return 0; sleep 0.1; done
    kill -9 "$pid"
}

configure() {
    mkdir -p "$state/spool" "$state/control" "$state/munge"
    chmod 755 "$state"
    [ -s "$state/munge/key" ] || head -c 128 /dev/urandom >"$state/munge/key"
    chown -R munge "$state/munge"
    chmod 755 "$state/munge"
    chmod 400 "$state/munge/key"
    # What is not the default, and why: credentials expire soon, or a requeued job waits two minutes; four CPUs are declared on any
    # machine; preemption sends the user's signal first; a job of the high partition preempts those of the low one.
    cat >"$conf" <<CONF
ClusterName=gradyn
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket,cred_expire=5
StateSaveLocation=$state/control
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/slurmctld.own
SlurmdPidFile=$state/slurmd.own
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
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
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES GraceTime=10 PriorityTier=1 MaxTime=60 State=UP
PartitionName=high Nodes=$host PriorityTier=2 MaxTime=60 State=UP
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
    if ! runs munged; then
        (cd / && setsid runuser -u munge -- munged --foreground --socket="$state/munge/socket" --key-file="$state/munge/key" --pid-file="$state/munge/pid" \
            --log-file="$state/munge/log" --seed-file="$state/munge/seed" </dev/null >/dev/null 2>&1 &)
        for _ in $(seq 100); do [ -s "$state/munge/pid" ] && break; sleep 0.1; done
        [ -s "$state/munge/pid" ] || fail "munged did not start; $state/munge/log says why."
        cp "$state/munge/pid" "$state/munged.pid"
    fi
    for daemon in slurmctld slurmd; do
        runs $daemon && continue
        # A fresh session without our streams: the caller's pipe must not wait for a daemon.
        (cd / && SLURM_CONF=$conf setsid bash -c 'echo $$ >"$1"; shift; exec "$@"' start "$state/$daemon.pid" \
            $daemon -D -f "$conf" $([ $daemon = slurmd ] && echo "-N $host") </dev/null >"$state/$daemon.out" 2>&1 &)
    done
    for _ in $(seq 300); do
        if SLURM_CONF=$conf sinfo -h -o %T 2>/dev/null | grep -qE 'idle|mixed|allocated'; then
            echo "export SLURM_CONF=$conf"
            return
        fi
        sleep 0.1
    done
    fail "the node did not become idle in 30 s; $state/*.log say why."
}

down() {
    if runs slurmctld; then SLURM_CONF=$conf timeout 10 scancel -u root 2>/dev/null || true; fi
    for daemon in slurmd slurmctld munged; do stop $daemon; done
    rm -rf "$state"
}

action=${1:-}
case $action in
    up | down) $action ;;
    conf) echo "$conf" ;;
    *) echo "usage: $0 up|down|conf" >&2; exit 2 ;;
esac
