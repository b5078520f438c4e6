"""List what the paper leaves open in Example 5, as a job has set it: one table, also in the documentation."""

from matplotlib.axes import Axes

from mpisign.storage.trajectory import RunRecord

SAMPLING = {"iid": "iid, with replacement", "shard": "of a worker's own shard"}
"""What `sampling` is called here; in files of earlier versions the default is not written down."""


def unstated(runs: list[RunRecord]) -> dict[str, str]:
    """Return each setting that the paper does not state, with its value in these runs of one job."""
    a = runs[0].attributes
    betas = sorted({f"{run.attributes['beta']:g}" for run in runs if "beta" in run.attributes})
    return {
        "data": f"{a.get('problem.data')}, n = {a.get('samples')}, d = {a['dimension']}",
        "batch size": str(a.get("oracle.batch", "all of the data")),
        "sampling": SAMPLING[a.get("oracle.sampling", "iid")],
        "iterations": str(a["iterations"]),
        "repeats": str(len(runs[0].repeats)),
        **({"beta of SIGNSGDM": ", ".join(betas)} if betas else {}),
        **({"lambda of EF-SIGNSGD": "the step"} if any(run.attributes["method"] == "ef-sign" for run in runs) else {}),
        "baseline f*": f"L-BFGS, then Newton; error at most {a['f_star_error']:.0e}",
        "reading of alpha": "per coordinate, alpha / d (Remark 4); as printed",
    }


def tabulate(settings: dict[str, str], axes: Axes) -> None:
    """Draw the table in the place of a panel."""
    axes.axis("off")
    table = axes.table(list(settings.items()), cellLoc="left", loc="center", edges="horizontal", colWidths=[0.32, 0.76])
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    for cell in table.get_celld().values():
        cell.set_edgecolor("0.8")
