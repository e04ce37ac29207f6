#!/bin/sh
# Completions for shells, and the man pages: each shell takes what is printed, bash completes with it, and man shows the pages without a
# complaint.
. "$(dirname "$0")/lib.sh"
plan 16
if is_nginx; then
    skip 16 "nginx has neither of its own"
    exit
fi

for shell in bash zsh fish; do
    "$SERVER" completions "$shell" >"$DIR/$shell"
    is "$? $(grep -c longshore "$DIR/$shell" | grep -vc '^0$')" "0 1" "completions for $shell"
done

# offered WORD...: what bash offers for the last word.
cat >"$DIR/complete" <<'END'
. "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$(complete -p longshore | sed 's/.*-F \([^ ]*\) .*/\1/')" longshore "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
END
offered() {
    bash "$DIR/complete" "$DIR/bash" "$@" 2>&1
}
if command -v bash >/dev/null; then
    like "$(offered longshore ex)" '^explain expect$' "bash: words"
    is "$(offered longshore serve --up)" --upload "bash: options of a word"
    is "$(offered longshore expect --pack '')" "localhost01 webserv42" "bash: packs"
    is "$(offered longshore expect --p)" "--pack --print-pack --pid --partial" "bash: options that begin alike"
    mkdir "$DIR/confs" && : >"$DIR/confs/a.conf"
    is "$(offered longshore -c "$DIR/confs/")" "$DIR/confs/a.conf" "bash: files"
else
    skip 5 "bash is not installed"
fi
for shell in zsh fish; do
    if command -v "$shell" >/dev/null; then
        ok "$shell takes what is printed" "$shell" -n "$DIR/$shell"
    else
        skip 1 "$shell is not installed"
    fi
done
if command -v fish >/dev/null; then
    like "$(HOME=$DIR fish -c "source $DIR/fish; complete -C 'longshore serve --up'" 2>&1)" '^--upload' "fish: options of a word"
else
    skip 1 "fish is not installed"
fi

if command -v man >/dev/null && command -v lexgrog >/dev/null; then
    for page in longshore.1 longshore.conf.5; do
        is "$(MANWIDTH=80 man --warnings -l "$checkout/docs/man/$page" 2>&1 >"$DIR/$page")" "" "man shows $page without a complaint"
    done
    is "$(cd "$checkout/docs/man" && lexgrog longshore.1 longshore.conf.5 | grep -c ': "longshore')" 2 "their names can be found"
else
    skip 3 "man is not installed"
fi
# Each option that a word's help names stands in the page.
for word in '' serve expect explain compat 'cgi run' 'cert self-signed'; do
    # The word is two for some.
    # shellcheck disable=SC2086
    "$SERVER" $word --help 2>&1 | grep -oE -e '--[a-z][a-z-]*' | sort -u
done | sort -u | grep -v '^--help$' >"$DIR/options"
missing=$(while read -r option; do
    sed 's/\\-/-/g' "$checkout/docs/man/longshore.1" | grep -q -e "$option" || echo "$option"
done <"$DIR/options")
is "$(wc -l <"$DIR/options" | tr -d ' ') $missing" "$(wc -l <"$DIR/options" | tr -d ' ') " "the page has every option"
note "$(tr '\n' ' ' <"$DIR/options")"
if [ -s "$DIR/longshore.1" ]; then
    like "$(cat "$DIR/longshore.1")" '--pid pid' "and how it is written"
else
    skip 1 "man is not installed"
fi
