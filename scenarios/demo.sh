#!/bin/sh
# The main job, shown: prove, lose, corrupt, replay, kill.
#
#     sh scenarios/demo.sh PLUGPULL [FOLDER]
#
# FOLDER holds the scenarios (default: the one of this file). Ends with exit 1 as soon as something is
# not as it should be, so a defect in the store or in the harness turns it red.
set -eu
plugpull=$(realpath "$1")
folder=$(realpath "${2:-$(dirname "$0")}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" # case files go to .plugpull below the current folder

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
run() {
	printf '$ plugpull %s\n' "$(printf '%s' "$*" | sed "s|$folder/|scenarios/|g")"
	"$plugpull" "$@"
}
red() {
	printf '\ndemo: RED: %s\n' "$*" >&2
	exit 1
}

say "1. The archival store at WAL/FULL: every state that a power loss, or a kill, can leave"
run run "$folder/archival.sql" || red "the archival store is not durable"

say "2. The same store at synchronous=NORMAL: always whole, but a power cut takes acknowledged commits"
run run "$folder/controls/archival-normal.sql" -v --json result.json || red "NORMAL is not what it should be"
lost=$(sed -n 's/.*"lost_acked_max": \([0-9]*\).*/\1/p' result.json)
token=$(sed -n 's/.*"token": "\(pp1-[^"]*\)".*/\1/p' result.json | head -n 1)
[ "${lost:-0}" -gt 0 ] || red "NORMAL lost nothing"
echo "A power cut takes up to $lost acknowledged batches, $((lost * 5)) acknowledged events."

say "3. With synchronous=OFF it is corrupt"
run run "$folder/controls/archival-off.sql" || red "OFF is not what it should be"

say "4. One of the losing states again, from its token"
status=0
run replay "$token" || status=$?
[ "$status" -eq 1 ] || red "the token did not lead to the loss again (exit $status)"

say "5. Twenty real rounds: writer processes killed with SIGKILL, reopened, checked"
run kill "$folder/archival.sql" --budget 20r || red "a real kill lost something"

say "All as it should be."
