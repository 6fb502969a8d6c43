# Completion of qga for fish, 3.1 or newer. `qga completion fish` prints this.

function __qga_complete
    set -l tokens (commandline -opc)
    set -l word (commandline -ct)
    set -l reply ($tokens[1] __complete fish $tokens[2..-1] "$word" 2>/dev/null)
    switch "$reply[1]"
        case file
            # What fish itself completes in the place of an argument.
            complete --do-complete "'' $word"
        case program
            complete --do-complete "$word"
        case '*'
            printf '%s\n' $reply[2..-1]
    end
end

complete --command qga --no-files --arguments '(__qga_complete)'
