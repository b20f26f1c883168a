"""Whether a file lies on a network file system, where SQLite's write-ahead log would lose or damage it.

The log needs memory that all who use the file share, and locks that hold. A file system that several machines see gives
the first to each machine apart, and often only the looks of the second.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType
from typing import Final

import attrs

__all__ = ["NETWORK", "Mount", "holding", "network_disk"]

NETWORK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "9p": "a directory of the host of this virtual machine (9P)",
        "acfs": "an Oracle cluster file system",
        "afs": "AFS",
        "beegfs": "BeeGFS",
        "ceph": "CephFS",
        "cifs": "a Windows share (SMB)",
        "coda": "Coda",
        "davfs": "a WebDAV share",
        "drvfs": "a disk of Windows seen from WSL",
        "fhgfs": "BeeGFS",
        "fuse.beegfs": "BeeGFS",
        "fuse.blobfuse": "a bucket of object storage",
        "fuse.blobfuse2": "a bucket of object storage",
        "fuse.ceph": "CephFS",
        "fuse.ceph-fuse": "CephFS",
        "fuse.cephfs": "CephFS",
        "fuse.cifs": "a Windows share (SMB)",
        "fuse.curlftpfs": "an FTP server",
        "fuse.davfs2": "a WebDAV share",
        "fuse.gcsfuse": "a bucket of object storage",
        "fuse.geesefs": "a bucket of object storage",
        "fuse.glusterfs": "GlusterFS",
        "fuse.goofys": "a bucket of object storage",
        "fuse.grpcfuse": "a directory of the host, through Docker Desktop",
        "fuse.juicefs": "JuiceFS",
        "fuse.lizardfs": "LizardFS",
        "fuse.mfs": "MooseFS",
        "fuse.moosefs": "MooseFS",
        "fuse.mount-s3": "a bucket of object storage",
        "fuse.mountpoint-s3": "a bucket of object storage",
        "fuse.osxfs": "a directory of the host, through Docker Desktop",
        "fuse.rclone": "a remote that rclone mounts",
        "fuse.s3fs": "a bucket of object storage",
        "fuse.seaweedfs": "SeaweedFS",
        "fuse.smbnetfs": "a Windows share (SMB)",
        "fuse.sshfs": "a directory of another machine (SSHFS)",
        "fuse.vmhgfs-fuse": "a directory of the host of this virtual machine (VMware)",
        "gfs": "GFS",
        "gfs2": "GFS2",
        "glusterfs": "GlusterFS",
        "gpfs": "IBM Spectrum Scale (GPFS)",
        "lustre": "Lustre",
        "ncpfs": "a NetWare share",
        "nfs": "NFS",
        "nfs3": "NFS",
        "nfs4": "NFS",
        "ocfs2": "OCFS2",
        "orangefs": "OrangeFS",
        "panfs": "PanFS",
        "prl_fs": "a directory of the host of this virtual machine (Parallels)",
        "pvfs2": "OrangeFS",
        "smb2": "a Windows share (SMB)",
        "smb3": "a Windows share (SMB)",
        "smbfs": "a Windows share (SMB)",
        "vboxsf": "a directory of the host of this virtual machine (VirtualBox)",
        "vmhgfs": "a directory of the host of this virtual machine (VMware)",
        "wekafs": "WekaFS",
    }
)
"""File systems that several machines see, by the name Linux has for them, and what people call them."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


@attrs.frozen
class Mount:
    """One line of mountinfo.

    Attributes:
        id: Its number.
        parent: The number of the mount it lies on.
        point: Where it begins.
        type: The kind of file system.
        source: What is mounted there, in words of that kind.
    """

    id: str
    parent: str
    point: PurePosixPath
    type: str
    source: str


def holding(mountinfo: str, path: PurePath) -> Mount | None:
    """Return the mount that holds *path*, absolute and without links, by the text of a mountinfo; None if none does.

    It goes from the root as the kernel does: of what is mounted on the mount reached so far, the first that lies on
    the way is entered. So a later mount hides what is below or under it, whatever the order of the lines.
    """
    mounts = [found for found in map(_read, mountinfo.splitlines()) if found is not None]
    ids = {mount.id for mount in mounts}
    on_the_way = [mount for mount in mounts if path.is_relative_to(mount.point)]
    # The root is mounted on something that is not shown, or on itself.
    here = next((one for one in on_the_way if one.parent not in ids or one.parent == one.id), None)
    found = None
    while here is not None:
        on_the_way.remove(here)
        found, onward = here, [one for one in on_the_way if one.parent == here.id]
        here = min(onward, key=lambda one: len(one.point.parts), default=None)
    return found


def network_disk(path: Path) -> str | None:
    """Return what network file system *path* lies on, in words, or None if it is none as far as can be told.

    Asked of Linux, and of Windows for shares that are named as such; elsewhere, nothing can be told before the file is
    opened.
    """
    if sys.platform == "win32":
        return f"a Windows share ({path.drive})" if path.drive.startswith("\\\\") else None
    try:
        mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no Linux, or no /proc
        return None
    mount = holding(mountinfo, PurePosixPath(os.path.realpath(path)))
    if mount is None or mount.type not in NETWORK:
        return None
    return f"{NETWORK[mount.type]}, mounted from {mount.source} at {mount.point}"


def _read(line: str) -> Mount | None:
    # 36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/sda rw: a number of optional fields, then a hyphen.
    left, found, right = line.partition(" - ")
    fields, kind = left.split(" "), right.split(" ")
    if not found or len(fields) < 5 or len(kind) < 2:
        return None
    return Mount(
        id=fields[0],
        parent=fields[1],
        point=PurePosixPath(_plain(fields[4])),
        type=kind[0],
        source=_plain(kind[1]),
    )


def _plain(text: str) -> str:
    """Return *text* with blanks, tabs, line feeds and backslashes as they are; mountinfo has them in octal."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)
