-- mpisign as a module, for Lmod.
--
--   python3 -m venv /opt/apps/mpisign/0.1.0                        (with the site's Python and MPI loaded)
--   /opt/apps/mpisign/0.1.0/bin/pip install "FILE.whl[system]"
--   cp -r packaging/lmod/mpisign MODULES                           (a folder of MODULEPATH)
--   module load mpisign/0.1.0
--
-- TRIED: see packaging/README.md.

local prefix = "/opt/apps/mpisign/" .. myModuleVersion() -- where the environment is: change it to yours

-- The modules that the environment was made with; without them mpi4py finds no MPI. Change them to yours.
-- depends_on("python/3.11", "openmpi")

whatis("Name: mpisign")
whatis("Version: " .. myModuleVersion())
whatis("Description: scaled sign gradient descent over MPI, and an audit of its theory")

help([[
mpisign: scaled sign gradient descent over MPI, and an audit of its theory.

    mpisign init quickstart
    mpirun -n 4 python -m mpi4py -m mpisign run quickstart.toml -o quickstart.h5
    mpisign doctor
]])

conflict("mpisign")
setenv("VIRTUAL_ENV", prefix)
prepend_path("PATH", pathJoin(prefix, "bin"))
