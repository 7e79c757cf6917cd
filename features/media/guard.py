"""What may be opened at all: one regular local file, of a kind that opens no other file.

A playlist that is named like a film makes every ffmpeg-based reader open the files it lists.
A protocol whitelist alone doesn't stop that, since the listed files are local too. So each
opening, by whatever tool, names the kinds of container that it accepts (those that hold their
own data), and addresses the file by an absolute path behind ``file:``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from features.errors import MediaEmpty, MediaMissing, MediaUnreadable

#: ffmpeg's names of self-contained containers and bare streams
FORMATS = (
    "mov,mp4,matroska,webm,avi,flv,live_flv,mpeg,mpegts,mpegvideo,m4v,h264,hevc,obu,ivf,"
    "asf,ogg,mxf,dv,nut,gif,wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr"
)

#: the file itself, and the pipes between ffmpeg and us
PROTOCOLS = "file,pipe"

#: option names and values for any tool that opens a medium
OPEN_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": PROTOCOLS}

#: how the playlists begin that ffmpeg follows; compared without case, after blanks
PLAYLISTS = {
    b"#extm3u": "an HLS playlist",
    b"<?xml": "an XML playlist (DASH, IMF or the like)",
    b"<mpd": "a DASH playlist",
    b"ffconcat": "an ffconcat list",
    b"file ": "a list of files",
    b"v=0": "a session description (SDP)",
    b"[playlist]": "a playlist",
    b"[internetshortcut]": "an internet shortcut",
}


#: how still pictures begin that are taken for videos now and then
PICTURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}


def media_url(path: str) -> str:
    """The one address under which tools get a file: ``file:`` and the absolute path."""
    return "file:" + os.path.abspath(path)


def check_file(path: str) -> os.stat_result:
    """Look that a path is a readable regular file with something in it.

    Raises:
        MediaMissing: nothing is there, or it may not be read.
        MediaUnreadable: a folder, a pipe or a device.
        MediaEmpty: zero bytes.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise MediaMissing(
            f"{path!r} can't be found ({_reason(error)}); correct the path"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaUnreadable(f"{path!r} is no regular file; name a media file")
    if not os.access(path, os.R_OK):
        raise MediaMissing(f"{path!r} may not be read (permission denied); change its permissions")
    if status.st_size == 0:
        raise MediaEmpty(f"{path!r} has zero bytes; fetch it again or take it out of the corpus")
    return status


def playlist_kind(path: str) -> str | None:
    """In words, which kind of playlist a file is by its first bytes; None if it is none."""
    with Path(path).open("rb") as file:
        head = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for mark, kind in PLAYLISTS.items() if head.startswith(mark)), None)


def picture_kind(path: str) -> str | None:
    """Which kind of still picture a file is by its first bytes; None if it is none of these."""
    with Path(path).open("rb") as file:
        head = file.read(16)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    return next((kind for mark, kind in PICTURES.items() if head.startswith(mark)), None)


def _reason(error: Exception) -> str:
    return (error.strerror or "unknown") if isinstance(error, OSError) else str(error)
