#!/usr/bin/env bash
# A conversion as an array of SLURM jobs, without a Dask scheduler:
#
#     configs/slurm-array.sh CONFIG OUT [options of dcm2zarr init, such as --partitions 100]
#
# The script plans, submits an array job with one task per partition, and submits a job that completes the result after all
# tasks have ended. Run the script again to continue after a failure: finished work isn't repeated.
# The script prints the numbers of both jobs, array first. sbatch reads partition, account and so on from its own variables:
#
#     SBATCH_PARTITION=compute SBATCH_ACCOUNT=imaging configs/slurm-array.sh run.yaml /scratch/out
set -euo pipefail
config=$(realpath "$1")
case $2 in # a folder or a URL of an object store; the store's address and keys come from the environment
  *://*) out=${2%/} logs=${LOGS:-$PWD/$(basename "$out").logs} ;;
  *) out=$(realpath -m "$2") logs=${LOGS:-$out.logs} ;; # beside the output directory, which holds only results
esac
shift 2

cpus=${CPUS:-1}         # worker processes of each task
memory=${MEMORY:-3G}    # of each process
walltime=${WALLTIME:-01:00:00}
at_once=${AT_ONCE:-200} # most tasks that run at the same time

own="--config $(printf %q "$config")" # jobs read this configuration: others may have changed the output's copy
previous=
for argument in "$@"; do
  case $previous,$argument in
    --set,*) own+=" --set $(printf %q "$argument")" ;;
    *,--set=*) own+=" $(printf %q "$argument")" ;;
  esac
  previous=$argument
done

mkdir -p "$logs"
count=$(dcm2zarr init "$config" --set "output.path=$out" -q "$@")

submit() { sbatch --parsable --time="$walltime" --cpus-per-task="$cpus" --mem-per-cpu="$memory" "$@"; }

after=()
if [ "$count" -gt 0 ]; then
  array=$(submit --job-name=dcm2zarr --array="0-$((count - 1))%$at_once" --output="$logs/partition-%a.log" \
    --wrap "dcm2zarr convert-partition '$out' \$SLURM_ARRAY_TASK_ID --workers $cpus $own")
  after=(--dependency="afterany:$array")
fi
final=$(submit --job-name=dcm2zarr-finalize "${after[@]}" --output="$logs/finalize.log" \
  --wrap "dcm2zarr finalize '$out' --workers $cpus $own")
echo "${array:-} $final"
