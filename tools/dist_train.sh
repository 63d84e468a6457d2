#!/usr/bin/env bash
# Train in several processes: one per GPU, or on the CPU where there is no GPU.
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# On several machines run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail

if [ "$#" -lt 2 ] || ! [[ "$2" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]; GPUS is a number from 1" >&2
    exit 2
fi
config=$1
gpus=$2
shift 2

tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# Alone on one machine any free port will do, so that several jobs do not collide.
rendezvous=(--rdzv-backend=c10d --rdzv-endpoint=localhost:0)
if [ "${NNODES:-1}" -gt 1 ] || [ -n "${PORT:-}" ]; then
    rendezvous=(
        --nnodes="${NNODES:-1}"
        --node-rank="${NODE_RANK:-0}"
        --master-addr="${MASTER_ADDR:-127.0.0.1}"
        --master-port="${PORT:-29500}"
    )
fi

exec python "$tools/launch.py" --nproc-per-node="$gpus" "${rendezvous[@]}" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
