"""The image networks and the network that lifts keypoints to 3D, one file each."""

NETWORKS = {
    "efficientpose": (
        *(f"efficientpose-{variant}" for variant in ("rt", "i", "ii", "iii", "iv")),
        *(f"efficientpose-{variant}-lite" for variant in ("rt", "i", "ii")),
    ),
    "efficientpose_tables": tuple(
        f"efficientpose-{variant}-{change}"
        for variant in ("i", "ii")
        for change in ("single-resolution", "no-skeleton", "1-pass", "3-passes", "no-upscaling")
    ),
    "efficienthourglass": (
        "efficienthourglass-b4",
        *(f"efficienthourglass-b{i}" for i in range(4)),
        *(f"efficienthourglass-l{i}" for i in range(5)),
        *(f"efficienthourglass-h{i}" for i in range(5)),
    ),
    "cima_pose": ("cima-pose",),
    "openpose": ("openpose",),
    "videopose3d": ("videopose3d",),
}
"""Names of the networks in each module of this folder."""
