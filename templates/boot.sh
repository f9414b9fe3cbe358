#!/bin/sh
# Seeds the agent's data directory, then hands over to the image's own entry point.
#
# Runs as root in a directory that the agent owns, so it trusts nothing there: it refuses symbolic links and whatever
# is not a regular file, writes beside a file and renames, and never recurses but to delete. A check and the use after
# it are two steps, as everything in sh. At this point nothing else runs in the container, so only a process that
# somebody starts with `docker exec` during the boot could come between them.
#
# A step that fails says why on stderr and stops the boot; what only heals warns. All of it may run any number of times.

set -eu

DATA=${HERMES_HOME:-/opt/data}

# The image's search path begins with directories that the agent may write to, and this runs as root: only directories
# of root's are searched, and no links, which say nothing of who may turn them elsewhere. Until then only builtins run.
image_path=$PATH
left=$image_path: trusted=
while [ -n "$left" ]; do
    entry=${left%%:*} left=${left#*:}
    entry=${entry%/}
    case $entry/ in "${DATA%/}"/* | [!/]* | /) continue ;; esac
    # shellcheck disable=SC3067  # dash, busybox and bash know -O; who does not own / is not root, and keeps all
    if [ ! -L "$entry" ] && { [ -O "$entry" ] || [ ! -O / ]; }; then trusted=$trusted:$entry; fi
done
PATH=${trusted#:}
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=${FLEET_ROOT:-}
BLOCK_BEGIN='# >>> hermes-fleet: these lines are rewritten at every start >>>'
BLOCK_END='# <<< hermes-fleet <<<'
END_OF_FILE='hermes-fleet: the whole file was read'
# What Python strips, byte by byte.
BLANKS=$(printf '([ \t\r\013\014\034-\037]|\302[\205\240]|\341\232\200|\342\200[\200-\212\250\251\257]|\342\201\237|\343\200\200)+')
temporary=

say() {
    printf 'hermes-fleet boot: %s\n' "$*" | tr -d '\000-\011\013-\037\177' >&2
}

fail() {
    say "$*"
    exit 1
}

clean_up() {
    if [ -n "$temporary" ]; then rm -f "$temporary"; fi
}

# identifier NAME VALUE: a user or group id as upstream accepts it.
identifier() {
    case $2 in
        '' | *[!0-9]*) ;;
        *) if [ "${#2}" -le 5 ] && [ "$2" -ge 1 ] && [ "$2" -le 65534 ]; then printf '%s' "$2" && return; fi ;;
    esac
    say "$1: '$2' is not an id from 1 to 65534; the agent stays 10000"
    printf 10000
}

own() {
    chown "$OWNER" "$1" || fail "cannot give $1 to $OWNER"
}

refuse_link() {
    if [ -L "$1" ]; then fail "$1 is a symbolic link and is not followed; remove it"; fi
}

# Nothing, or a regular file.
check_file() {
    refuse_link "$1"
    if [ -e "$1" ] && [ ! -f "$1" ]; then fail "$1 is not a regular file; remove it"; fi
}

# A directory, not a link to one.
check_directory() {
    refuse_link "$1"
    if [ ! -d "$1" ]; then fail "$1 is not a directory; remove it"; fi
}

# put FILE MODE COMMAND...: replaces FILE by what COMMAND prints, whole or not at all.
# The command runs twice: a write that the disk cut short does not pass for a file.
put() {
    file=$1 mode=$2
    shift 2
    check_file "$file"
    rm -f "${file%/*}"/.hermes-fleet.?????? 2>/dev/null || :
    temporary=$(mktemp "${file%/*}/.hermes-fleet.XXXXXX") || fail "cannot write beside $file"
    if ! "$@" >"$temporary" || ! "$@" | cmp -s - "$temporary"; then
        fail "cannot write all of $file (is the disk full?); it is as it was"
    fi
    own "$temporary"
    chmod "$mode" "$temporary" || fail "cannot set the mode of $file"
    sync "$temporary" 2>/dev/null || :
    mv -f "$temporary" "$file" || fail "cannot replace $file"
    temporary=
}

# Prints a file without NUL bytes, then a line that is missing if reading failed half-way.
whole() {
    if [ -e "$1" ]; then tr -d '\000' <"$1" || return 1; fi
    printf '\n%s\n' "$END_OF_FILE"
}

data_directory() {
    case $DATA in /*) ;; *) fail "HERMES_HOME: '$DATA' is not an absolute path" ;; esac
    if [ ! -e "$DATA" ]; then mkdir -p "$DATA" || fail "cannot create $DATA"; fi
    if [ ! -d "$DATA" ]; then fail "$DATA is not a directory"; fi
    # An old volume of another owner is upstream's to repair: it looks at the owner of the top directory alone.
    for entry in "$DATA"/* "$DATA"/.[!.]* "$DATA"/..?*; do
        case ${entry##*/} in plugins | lost+found) continue ;; esac
        if [ -e "$entry" ] || [ -L "$entry" ]; then return; fi
    done
    chown "$OWNER" "$DATA" || say "cannot give $DATA to $OWNER; the image may do it"
}

configuration() {
    put "$DATA/config.yaml" 640 cat "$HERE/config.yaml"
}

# memory_with_identity FILE: prints the identity entry, then every other entry as it stands.
# Entries are parted by a line of their own that holds a section sign, as Hermes does it.
memory_with_identity() {
    identity=$(cat "$HERE/MEMORY.md") || return 1
    printf '%s' "$identity"
    whole "$1" | BLANKS=$BLANKS END_OF_FILE=$END_OF_FILE MARKER=$(head -n 1 "$HERE/MEMORY.md") LC_ALL=C awk '
        function begin(line) { delimiter = line; blank = ""; deciding = 1; ours = 0 }
        # The first entry that is kept loses blanks before it: Hermes refuses to edit a file with blanks at a delimiter.
        function decide(line, bare) {
            bare = line
            sub("^" blanks, "", bare)
            if (bare == "") { blank = blank line "\n"; return }
            deciding = 0
            sub(blanks "$", "", bare)
            if (bare == ENVIRON["MARKER"]) { ours = 1; return }
            if (kept++) print "\n" delimiter "\n" blank line
            else { sub("^" blanks, "", line); print "\n\302\247\n" line }
        }
        function finish() { if (deciding && kept) print "\n" delimiter "\n" substr(blank, 1, length(blank) - 1) }
        function take(line, is_last) {
            if (((line == "\302\247" && !is_last) || line == "\302\247\r") && number > fresh) {
                finish(); begin(line); fresh = number + 1
            } else if (deciding) decide(line)
            else if (!ours) print "\n" line
            number++
        }
        BEGIN {
            ORS = ""
            blanks = ENVIRON["BLANKS"]
            begin("\302\247")
        }
        NR > 1 { whole = $0 == ENVIRON["END_OF_FILE"]; take(held, whole) }
        { held = $0 }
        END { if (!whole) exit 1; finish() }
    '
}

memory() {
    directory=$DATA/memories
    refuse_link "$directory"
    if [ ! -e "$directory" ]; then mkdir "$directory" || fail "cannot create $directory"; fi
    check_directory "$directory"
    chown "$OWNER" "$directory" || say "cannot give $directory to $OWNER; the agent may be unable to remember"
    lock=$directory/MEMORY.md.lock
    check_file "$lock"
    if [ ! -e "$lock" ]; then
        (set -C && : >"$lock") || fail "cannot create $lock"
    fi
    own "$lock"
    exec 9<"$lock"
    if command -v flock >/dev/null; then
        tries=0
        until flock -n 9; do
            tries=$((tries + 1))
            if [ "$tries" -gt 5 ]; then fail "$lock is held by another process"; fi
            sleep 1
        done
    else
        say "no flock here; MEMORY.md is written without its lock"
    fi
    put "$directory/MEMORY.md" 600 memory_with_identity "$directory/MEMORY.md"
    exec 9<&-
}

# environment_with_block FILE SKIP: prints our block, then the lines of FILE that set none of its keys.
# The block stands first: a quote that a line of the family left open cannot swallow it.
# Names that start with SKIP (where it is not empty) are dropped from the file but not set.
environment_with_block() {
    whole "$1" | BLOCK_BEGIN=$BLOCK_BEGIN BLOCK_END=$BLOCK_END END_OF_FILE=$END_OF_FILE MANAGED=$HERE/env SKIP=$2 \
        BLANKS=$BLANKS LC_ALL=C awk '
        # Which name a line sets, as python-dotenv reads it; a carriage return ends a line there too.
        function name_of(line, at) {
            sub("^" blanks, "", line)
            at = index(line, "=")
            if (line ~ /^#/ || !at) return ""
            line = substr(line, 1, at - 1)
            sub("^export" blanks, "", line)
            sub(blanks "$", "", line)
            gsub(/^\047|\047$/, "", line)
            return line
        }
        # Whether a name is the end of a longer one that Hermes knows, told by the letter before it.
        function is_end(before, name) { return before == "_" || (before == "G" && name ~ /^LM_/) }
        # Where the value of a line runs into the next name, as where a line break was lost; 0 where it does not.
        # Hermes splits the line there if it knows both names: they have an underscore. It may lie within the value of
        # a name of the family, so that one is only cut at a managed name, and only after a plain value. Of a managed
        # line only so much is searched as a key is long: the search takes the square of it.
        function next_name(line, ours, at, name, here, found, value) {
            at = index(line, "=")
            value = substr(line, at + 1)
            if (ours) found = match(substr(value, 1, 512), /[A-Z][A-Z0-9_]*_[A-Z0-9][A-Z0-9]+=/)
            else if (name_of(line) ~ /_/) for (name in managed) {
                here = name ~ /_/ ? index(value, name "=") : 0
                if (here && (!found || here < found) && !is_end(substr(value, here - 1, 1), name)) found = here
            }
            value = substr(value, 1, found - 1)
            return found && value ~ /^([^ \t"\047?&]*|"[^"]*"|\047[^\047]*\047)$/ ? at + found : 0
        }
        # What of a line the family itself sets; `gone` is true if nothing is.
        function own(line, ours, at, kept, text) {
            do {
                ours = name_of(line) in managed
                at = next_name(line, ours)
                if (!ours) text = text (kept++ ? "\n" : "") (at ? substr(line, 1, at - 1) : line)
                if (ours) dropped = 1
                line = substr(line, at)
            } while (at)
            gone = !kept
            return text
        }
        function foreign(line, parts, count, i, kept, text, part) {
            count = split(line, parts, "\r")
            for (i = 1; i <= count; i++) {
                part = own(parts[i])
                if (!gone) text = text (kept++ ? "\r" : "") part
            }
            return text
        }
        BEGIN {
            ORS = ""
            blanks = ENVIRON["BLANKS"]
            print ENVIRON["BLOCK_BEGIN"] "\n"
            managed["WHATSAPP_ENABLED"]
            while ((status = (getline line < ENVIRON["MANAGED"])) > 0) {
                if (line == "") continue
                name = name_of(line)
                managed[name]
                if (ENVIRON["SKIP"] == "" || index(name, ENVIRON["SKIP"]) != 1) print line "\n"
            }
            if (status < 0) { failed = 1; exit 1 }
            print ENVIRON["BLOCK_END"] "\n"
        }
        { lines[NR] = $0 }
        END {
            if (failed || lines[NR] != ENVIRON["END_OF_FILE"]) exit 1
            last = NR - 1
            sub(/^\357\273\277/, "", lines[1])
            for (i = last; i >= 1; i--) {
                bare = lines[i]
                sub(/\r$/, "", bare)
                if (bare == ENVIRON["BLOCK_END"]) close_at = i
                else if (bare == ENVIRON["BLOCK_BEGIN"]) { end_of[i] = close_at ? close_at : i; close_at = 0 }
            }
            for (i = 1; i <= last; i++) {
                if (i in end_of) { i = end_of[i]; continue }
                dropped = 0
                text = foreign(lines[i])
                if (dropped && (text == "" || text == "\r")) continue
                print text (i < last ? "\n" : "")
            }
        }
    '
}

environment() {
    put "$DATA/.env" 600 environment_with_block "$DATA/.env" ''
    refuse_link "$DATA/profiles"
    if [ ! -d "$DATA/profiles" ]; then return; fi
    for profile in "$DATA"/profiles/*; do
        refuse_link "$profile"
        if [ ! -d "$profile" ]; then continue; fi
        # A key for the API server would make the profile's gateway take the port of the family's own.
        put "$profile/.env" 600 environment_with_block "$profile/.env" API_SERVER_
    done
}

# ended FILE: is this the state of a gateway that ended in order, or was about to?
ended() {
    [ ! -L "$1" ] && [ -f "$1" ] && grep -qE '"gateway_state": *"(stopped|draining)"' "$1"
}

# Hermes 0.15 notes `stopped` when its container stops, as if somebody had told the gateway to, and the image does not
# start it again. One that ended together with the family's own was running; upstream's later versions note that. Nor
# does it start one that was killed at the end of the grace, while it was draining.
resume_profiles() {
    state=$DATA/gateway_state.json
    ended "$state" || return 0
    last=$(stat -c %Y "$state" 2>/dev/null) || return 0
    for state in "$DATA"/profiles/*/gateway_state.json; do
        ended "$state" || continue
        apart=$(stat -c %Y "$state" 2>/dev/null) || continue
        apart=$((apart - last))
        if [ "${apart#-}" -le 30 ]; then
            put "$state" 600 sed -E 's/"gateway_state": *"(stopped|draining)"/"gateway_state": "running"/' "$state"
        fi
    done
}

purge_baileys() {
    refuse_link "$DATA/platforms"
    for directory in "$DATA/whatsapp" "$DATA/platforms/whatsapp"; do
        if [ -L "$directory" ]; then
            rm -f "$directory" || fail "cannot remove the link $directory"
        elif [ -d "$directory" ]; then
            rm -rf "$directory" || fail "cannot remove $directory"
        fi
    done
}

hand_over() {
    docker=$ROOT/opt/hermes/docker
    if [ -x "$docker/entrypoint-dispatch.sh" ]; then
        set -- "$docker/entrypoint-dispatch.sh"
    elif [ -x "$ROOT/init" ] && [ -e "$docker/main-wrapper.sh" ]; then
        set -- "$ROOT/init" "$docker/main-wrapper.sh"
    elif [ -x "$ROOT/usr/bin/tini" ] && [ -e "$docker/entrypoint.sh" ]; then
        set -- "$ROOT/usr/bin/tini" -g -- "$docker/entrypoint.sh"
    else
        fail "this image has no entry point of hermes-agent (entrypoint-dispatch.sh, /init or tini)"
    fi
    umask "$inherited_umask"
    trap - EXIT
    PATH=$image_path
    exec "$@" gateway run
}

inherited_umask=$(umask)
umask 022
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
if [ "$(id -u)" != 0 ]; then fail "runs as uid $(id -u), expected root; remove --user"; fi
OWNER=$(identifier HERMES_UID "${HERMES_UID:-${PUID:-10000}}"):$(identifier HERMES_GID "${HERMES_GID:-${PGID:-10000}}")
data_directory
configuration
memory
environment
resume_profiles
purge_baileys
hand_over
