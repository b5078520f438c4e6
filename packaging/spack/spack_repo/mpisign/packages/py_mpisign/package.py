"""mpisign with Spack 1.0 or later; how to use it is said in ../../repo.yaml.

TRIED in part: see packaging/README.md.
"""

import os

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyMpisign(PythonPackage):
    """Scaled sign gradient descent over MPI, and an audit of its theory."""

    # No release is published. `spack dev-build` takes the checkout; `spack install --no-checksum`
    # takes an sdist in the folder where you are.
    manual_download = True
    url = f"file://{os.getcwd()}/mpisign-0.1.0.tar.gz"

    license("Apache-2.0")

    version("0.1.0")

    variant("mpi", default=True, description="Ranks over the MPI that the spec names")
    variant("frames", default=False, description="Results for pandas and xarray")

    depends_on("py-setuptools@77:", type="build")

    with default_args(type=("build", "run")):
        depends_on("python@3.11:")
        depends_on("py-numpy@2.2:")
        depends_on("py-numba@0.62:")
        depends_on("py-scipy@1.16:")
        depends_on("py-h5py@3.12:")
        depends_on("py-matplotlib@3.9:")
        depends_on("py-scikit-learn@1.5:")
        depends_on("py-pydantic@2.9:")
        depends_on("py-threadpoolctl@3.5:")
        depends_on("py-tqdm@4.66:")
        depends_on("py-typing-extensions@4.12:")
        depends_on("py-tomli-w@1.0:")
        depends_on("py-shtab@1.7:")
        depends_on("py-jinja2@3.1:")
        depends_on("py-pillow@10:")
        depends_on("py-pooch@1.8:")
        depends_on("py-requests@2.31:")
        depends_on("py-mpi4py@4.0:", when="+mpi")
        depends_on("py-h5py~mpi", when="~mpi")  # of itself Spack's h5py brings an MPI
        depends_on("py-pandas@2.2:", when="+frames")
        depends_on("py-xarray@2024.10:", when="+frames")
