"""Frames of videos and images, by stream or by number, and videos with their keypoints drawn on them."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Frame": "infantjax.video.frames",
        "FrameBatch": "infantjax.video.random_access",
        "Frames": "infantjax.video.frames",
        "VIDEO_SUFFIXES": "infantjax.video.reading",
        "choose_frames": "infantjax.video.frame_choice",
        "draw_skeleton": "infantjax.video.drawing",
        "encode_image": "infantjax.video.images",
        "find_sources": "infantjax.video.reading",
        "image_size": "infantjax.video.images",
        "is_frames": "infantjax.video.reading",
        "is_video": "infantjax.video.reading",
        "open_frames": "infantjax.video.reading",
        "read_frames": "infantjax.video.random_access",
        "write_overlay": "infantjax.video.writing",
        "write_video": "infantjax.video.writing",
    },
)
