#!/usr/bin/env bash
# Train under Slurm, one task per GPU.
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS="..."] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [arguments of tools/train.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
shift 3

gpus=${GPUS:-4}
gpus_per_node=${GPUS_PER_NODE:-4}
if [ "$gpus" -lt "$gpus_per_node" ]; then
    gpus_per_node=$gpus
fi
# A list of arguments in one variable, so it is split at spaces.
read -r -a srun_arguments <<< "${SRUN_ARGS:-}"

tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"

exec srun --partition="$partition" \
    --job-name="$job_name" \
    --gres=gpu:"$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${srun_arguments[@]+"${srun_arguments[@]}"} \
    python -u "$tools/train.py" "$config" --launcher slurm "$@"
