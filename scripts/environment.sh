# Sourced by the other scripts: makes .venv with everything they need, once; quick when nothing changed.
# Needs Python 3.11 or newer with pip and venv, nothing else.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Some container images ask for no .pyc files: then each process that a test starts would compile the project again.
unset PYTHONDONTWRITEBYTECODE

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
  done
  echo "Python 3.11 or newer is needed and none was found; set PYTHON to one." >&2
  return 1
}

# The parts that were asked for ("" for a user's, "[test]" for a developer's) and what pins them. A script that another one
# started keeps that one's environment.
environment() {
  local parts=$1 venv=$repository/.venv python stamp
  [ -n "${DCM2ZARR_ENVIRONMENT:-}" ] && return
  stamp=$(cat "$repository/pyproject.toml" "$repository/scripts/constraints.txt" | cksum | cut -d' ' -f1)
  if [ "$(cat "$venv/.stamp$parts" 2>/dev/null)" != "$stamp" ]; then
    python=$(find_python)
    echo "Setting up $venv (once) …" >&2
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --constraint "$repository/scripts/constraints.txt" --editable "$repository$parts"
    echo "$stamp" >"$venv/.stamp$parts"
  fi
  export PATH=$venv/bin:$PATH
}

# What `pip install` gives a user today, and what runs tests, in .venv-newest: the newest Python, no constraints. pip asks
# for each package's newest release every time, so that an environment made long ago is as new as one made now.
newest_environment() {
  local venv=$repository/.venv-newest python
  if [ -z "${DCM2ZARR_NEWEST_READY:-}" ]; then # scripts/test has just made it
    python=$("$repository/scripts/newest-python")
    echo "Bringing $venv up to date …" >&2
    [ "$("$venv/bin/python" -V 2>/dev/null)" = "$("$python" -V)" ] || "$python" -m venv --clear "$venv"
    rm -rf "$repository/build" # what it holds of deleted files would be installed
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager \
      "$repository" hypothesis pydicom-data pytest pytest-xdist zarrs # and all that the tests of scripts/test-newest import
  fi
  export PATH=$venv/bin:$PATH DCM2ZARR_ENVIRONMENT=$venv
}

# Names and versions in the environment that the pinned set doesn't have.
newer_packages() {
  python -m pip freeze --quiet --exclude dcm2zarr | tr 'A-Z_' 'a-z-' | grep -vxFf scripts/constraints.txt | tr '\n' ' '
}

# The decoders of scripts/oracles.txt for the environment's Python, in .oracles: tests compare with them from a process of
# its own.
oracles() {
  local list=$repository/scripts/oracles.txt folder stamp
  folder=$repository/.oracles/$(python -c 'import sys; print(sys.implementation.cache_tag)')
  stamp=$(cksum <"$list" | cut -d' ' -f1)
  [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$folder"
  python -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" --requirement "$list"
  echo "$stamp" >"$folder/.stamp"
}
