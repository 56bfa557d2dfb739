# Sourced by the other scripts: makes .venv with everything they need, once; quick when nothing changed.
# Needs Python 3.11 or newer with pip and venv, nothing else.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
  done
  echo "Python 3.11 or newer is needed and none was found; set PYTHON to one." >&2
  return 1
}

# The parts that were asked for ("" for a user's, "[test]" for a developer's) and what pins them.
environment() {
  local parts=$1 venv=$repository/.venv python stamp
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

# The decoders of scripts/oracles.txt, in .oracles: tests compare with them from a process of its own.
oracles() {
  local list=$repository/scripts/oracles.txt folder=$repository/.oracles stamp
  stamp=$(cksum <"$list" | cut -d' ' -f1)
  [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$folder"
  "$repository/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" \
    --requirement "$list"
  echo "$stamp" >"$folder/.stamp"
}
