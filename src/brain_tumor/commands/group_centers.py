"""How the images of a group are tied together: each one's relation to the image in the middle of its group."""

import pandas as pd

from brain_tumor.audit.groups import GROUPING_KINDS
from brain_tumor.audit.relations import relate_images


def add_centers(table: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Add to each image of a group how it is related to the group's center: its image with the most links.

    Args:
        table, links: see `audit.audit_images`.

    Returns:
        The table with the columns center (path, '' for an image without relatives), center_kind (the surest kind of
        relation to it, '' for the center itself), center_correlation (the smallest on the way there, NaN where it is
        not known by content) and center_through (the images in between, '' if the two are linked directly).
    """
    joining = links[links["kind"].isin(GROUPING_KINDS)]
    degree = pd.concat([joining["first"], joining["second"]]).value_counts()
    order = table.assign(degree=table["path"].map(degree).fillna(0))
    order = order.sort_values(["degree", "sha256", "path"], ascending=[False, True, True], kind="stable")
    centers = order.drop_duplicates("group").set_index("group")["path"]
    in_group = table["group"].map(table["group"].value_counts()) > 1
    is_center = table["path"].isin(set(centers))
    related = relate_images(table, links, (in_group & ~is_center).to_numpy(), (in_group & is_center).to_numpy())
    facts = related.set_index("path")[["kind", "correlation", "through"]].reindex(table["path"]).set_index(table.index)
    return table.assign(
        center=table["group"].map(centers).where(in_group, ""),
        center_kind=facts["kind"].fillna(""),
        center_correlation=facts["correlation"],
        center_through=facts["through"].fillna(""),
    )
