# Completion of qga for bash, 4.4 or newer. `qga completion bash` prints this.

_qga() {
    local program=${COMP_WORDS[0]/#\~/$HOME} kind
    local -a reply
    mapfile -t reply < <("$program" __complete bash \
        "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    kind=${reply[0]}
    COMPREPLY=("${reply[@]:1}")
    case $kind in
        part) compopt -o nospace ;;
        file) compopt -o default ;;
        program) mapfile -t COMPREPLY < <(compgen -c -- "$2") ;;
    esac
}

complete -o nosort -F _qga qga
