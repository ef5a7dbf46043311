"""Names of the layers of EfficientPose and EfficientHourglass in the Keras files of their authors."""

from collections.abc import Iterator

from infantjax.pose.importers.keras_file import Conv
from infantjax.pose.networks.efficientnet import plan
from infantjax.pose.networks.efficientpose import PASSES, EfficientPose


def efficientpose_layers(network: EfficientPose, variant: str) -> Iterator[Conv]:
    """The convolutions of EfficientPose, and their layers in a published file."""
    v = network.variant
    yield from backbone_layers(("high",), v.high, 3, "_res1")
    if v.low:
        yield from backbone_layers(("low",), v.low, 2, "_res2")
    for number, kind in PASSES:
        for dense_net in range(1, v.dense_nets + 1):
            for block in (1, 2, 3):
                layer = f"{number}_block{dense_net}_mbconv{block}_{kind}_"
                here = (f"{number}_{kind}_{dense_net}_{block}",)
                yield Conv((*here, "expand"), f"{layer}conv1", f"{layer}conv1_bn")
                yield Conv((*here, "depthwise"), f"{layer}dconv1", f"{layer}dconv1_bn")
                if not v.lite:
                    yield Conv((*here, "se", "squeeze"), f"{layer}se_se_squeeze_conv")
                    yield Conv((*here, "se", "excite"), f"{layer}se_se_excite_conv")
                yield Conv((*here, "project"), f"{layer}conv2", f"{layer}conv2_bn")
    if network.early_heads:
        yield Conv(("pass1_pafs",), "pass1_skeleton_pafs")
        yield Conv(("pass2_confs",), "pass2_detection1_confs")
    yield Conv(("pass3_confs",), "pass3_detection2_confs")


def backbone_layers(name: tuple[str, ...], version: str, blocks: int, suffix: str = "") -> Iterator[Conv]:
    """The convolutions of a backbone, and their layers in a file.

    Args:
        name: of the backbone in the network; empty for the backbone itself.
        version: of the backbone.
        blocks: how many of the seven.
        suffix: of the layers' names, in files with two backbones; Lite files have none.
    """
    if version.startswith("l"):
        yield from _lite_backbone(version, blocks, name)
        return
    yield Conv((*name, "stem"), f"stem_conv{suffix}", f"stem_bn{suffix}")
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            layer = f"block{number}{chr(ord('a') + repeat)}"
            here = (*name, layer)
            if block.expansion > 1:
                yield Conv((*here, "expand"), f"{layer}_expand_conv{suffix}", f"{layer}_expand_bn{suffix}")
            yield Conv((*here, "depthwise"), f"{layer}_dwconv{suffix}", f"{layer}_bn{suffix}")
            yield Conv((*here, "se", "squeeze"), f"{layer}_se_reduce{suffix}")
            yield Conv((*here, "se", "excite"), f"{layer}_se_expand{suffix}")
            yield Conv((*here, "project"), f"{layer}_project_conv{suffix}", f"{layer}_project_bn{suffix}")


def _lite_backbone(version: str, blocks: int, name: tuple[str, ...]) -> Iterator[Conv]:
    model = f"efficientnet-lite{version[1]}/model"

    def norm(part: str, number: int) -> str:
        return f"{part}/tpu_batch_normalization{f'_{number}' if number else ''}/FusedBatchNormV3_0"

    yield Conv((*name, "stem"), f"{model}/stem/conv2d/Conv2D_0", norm(f"{model}/stem", 0))
    index = 0
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            part, here = f"{model}/blocks_{index}", (*name, f"block{number}{chr(ord('a') + repeat)}")
            expanded = int(block.expansion > 1)
            if expanded:
                yield Conv((*here, "expand"), f"{part}/conv2d/Conv2D_0", norm(part, 0))
            yield Conv((*here, "depthwise"), f"{part}/depthwise_conv2d/depthwise_0", norm(part, expanded))
            last = "conv2d_1" if expanded else "conv2d"
            yield Conv((*here, "project"), f"{part}/{last}/Conv2D_0", norm(part, expanded + 1))
            index += 1


def hourglass_layers(version: str, deepest: int) -> Iterator[Conv]:
    """The convolutions of a Lite EfficientHourglass, and their layers in a file, where norms are numbered.

    Args:
        version: of the backbone.
        deepest: block of the backbone: 5 with two bridges and steps up, 6 with three.
    """
    bridges = range(1, 4 if deepest == 6 else 3)
    yield from backbone_layers(("backbone",), version, deepest)
    for bridge in bridges:
        here, layer, first = (f"bridge{bridge}",), f"Bridge1_Res{bridge}_", 3 * bridge - 2
        for part, name, norm in (("expand", "BN1", 0), ("depthwise", "dConv", 1), ("project", "BN2", 2)):
            yield Conv((*here, part), layer + name, f"batch_normalization_{first + norm}")
    for step in bridges:
        number = 3 * len(bridges) + step
        yield Conv((f"up{step}",), f"conv2d_transpose_{step}", f"batch_normalization_{number}")
    yield Conv(("confs",), "stage1_confs")
