#!/usr/bin/env bash
# Builds the book in `docs/book` and looks at what came of it: no include is left, no warning was given,
# and every link leads to a page, to a place in it, or to a file of the repository.
#
#   bash tests/book/check.sh
#
# Where there is no `mdbook`, it is installed below `target/tools`; without its search and server, and not
# optimised, that takes half of the time.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=${CARGO_TARGET_DIR:-target}
mdbook=$(command -v mdbook) || mdbook=$target/tools/bin/mdbook
if [ ! -x "$mdbook" ]; then
    begun=$SECONDS
    cargo install mdbook --version 0.5.4 --locked --no-default-features --debug \
        --root "$target/tools" --target-dir "$target/mdbook" || exit
    echo "mdbook installed in $((SECONDS - begun)) s"
    # What it was made of is not needed again.
    rm -rf "${target:?}/mdbook"
fi

begun=$SECONDS
book=docs/book/book
rm -rf "$book"
said=$("$mdbook" build docs/book 2>&1)
status=$?
printf '%s\n' "$said"
[ "$status" -eq 0 ] || exit "$status"
faults=0

# Says what is wrong.
fault() {
    printf '%s\n' "$*"
    faults=$((faults + 1))
}

grep -E 'WARN|ERROR' <<<"$said" && fault "mdbook has something to say"

count=0
pages=("$book"/*.html)
for page in "${pages[@]}"; do
    # Of the page for what is not found, and of all on one page, the links are those of the others.
    case $page in */404.html | */print.html) continue ;; esac
    grep -nF '{{#' "$page" && fault "$page: something was not included"
    while IFS= read -r link; do
        count=$((count + 1))
        file=${link%%[#?]*} place=${link#*#}
        to=$(dirname "$page")/$file
        [ -n "$file" ] || to=$page
        if [ ! -e "$to" ]; then
            fault "$page: $link leads nowhere"
        elif [ "$place" != "$link" ] && [ -n "$place" ] && ! grep -qF "id=\"$place\"" "$to"; then
            fault "$page: $link leads to no place of that page"
        fi
    done < <(grep -oE '(href|src)="[^"]*"' "$page" | sed -E 's/^(href|src)="//; s/"$//' |
        grep -vE '^(https?:|mailto:|data:|javascript:)' | sort -u)
done

# Every chapter was built.
for chapter in docs/book/src/*.md; do
    name=$(basename "$chapter" .md)
    [ "$name" = SUMMARY ] || [ -e "$book/$name.html" ] || fault "$chapter is not in the book"
done

echo "${#pages[@]} pages, $count links, $faults faults, $((SECONDS - begun)) s"
[ "$faults" -eq 0 ] && [ "$count" -gt 50 ]
