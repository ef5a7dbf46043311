#!/bin/bash
# Starts a Slurm of two nodes on this machine from Debian's packages (slurm-wlm, munge), runs the job of this folder with
# twelve simulated infants, and stops it. Needs root and infantjax on the PATH:
#   deploy/slurm/rehearse.sh rehearsal
set -euo pipefail
here=$(dirname "$(realpath "$0")")
work=$(mkdir -p "$1" && realpath "$1")
host=$(hostname -s)
export SLURM_CONF=$work/slurm.conf JAX_PLATFORMS=cpu
mkdir -p "$work/state"
chmod 755 "$work"
cat >"$SLURM_CONF" <<CONF
ClusterName=rehearsal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=17000
SlurmUser=root
AuthInfo=socket=$work/munge.socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=32 RealMemory=131072 Gres=gpu:4
NodeName=$host-b NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=32 RealMemory=131072 Gres=gpu:4
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
CONF
touch "$work"/gpu{0..3}  # Slurm wants a file for each; JAX computes on the CPU
echo "Name=gpu File=$work/gpu[0-3]" >"$work/gres.conf"

daemons=()
stop() { kill "${daemons[@]}" && wait || true; }
trap stop EXIT
start() {
    "$@" >>"$work/daemons.log" 2>&1 &
    daemons+=($!)
}
head -c 1024 /dev/urandom >"$work/munge.key"
chmod 600 "$work/munge.key"
start munged --foreground --force --key-file "$work/munge.key" --socket "$work/munge.socket" \
    --log-file "$work/munge.log" --pid-file "$work/munge.pid" --seed-file "$work/munge.seed"
sleep 2
start slurmctld -D
start slurmd -D -N "$host"
start slurmd -D -N "$host-b"
for _ in {1..30}; do
    sleep 1
    sinfo --noheader --format=%T 2>/dev/null | grep -qx idle && break
done
sinfo

cd "$work"
test -d cohort || infantjax simulate -n 12 --duration 20 --prevalence 0.4 -o cohort
echo '{"num_input_modules": [1], "num_main_levels": [1], "num_main_level_modules": [1], "attention": ["null"]}' >small.json
rm -rf results search infantjax-*.log
sbatch --wait --nodes=2 "$here/cluster.sbatch" assess "$work/cohort" -o "$work/results"
sbatch --wait --nodes=2 "$here/cluster.sbatch" search "$work/cohort" -o "$work/search" --space "$work/small.json" \
    --folds 3 --held-out 1 --trials 2 --epochs 1 --no-checkpoints --strategy random || true
tail -n +1 infantjax-*.log
infantjax search status -o search
