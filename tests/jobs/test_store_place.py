"""A store on a network file system is refused, with the reason, before anything is written there."""

import sys
from pathlib import Path, PurePosixPath

import pytest

from novitai_sdk.jobs import Change, SqliteStore, StoreError, new_job, open_store
from novitai_sdk.jobs import _place as place
from novitai_sdk.jobs._place import NETWORK, holding, network_disk

NOW = 1_700_000_000.0
SOON = 10.0

linux = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows names its shares by two slashes"
)

# Of a machine with home directories on a server, a share with a blank in its name, and containers.
SERVER = r"""
22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
24 28 0:6 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=8111212k,nr_inodes=2027803,mode=755
25 24 0:24 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
41 28 0:38 / /home rw,relatime shared:60 - nfs4 filer:/export/home rw,vers=4.2,rsize=1048576,hard,proto=tcp
42 41 253:1 / /home/local rw,relatime shared:61 - xfs /dev/mapper/local rw
43 28 0:52 / /mnt/team\040share\134x rw,relatime shared:70 - cifs //win/team\040share rw,vers=3.1.1
44 28 0:53 / /mnt/other rw,relatime - fuse.sshfs me@host:/ rw,user_id=1000
45 28 0:54 / /mnt/stick rw,relatime - fuseblk /dev/sdb1 rw,user_id=0
46 28 259:2 /home/old /srv/bound rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
47 28 0:38 /ada /srv/ada rw,relatime shared:60 - nfs4 filer:/export/home rw
48 28 0:60 / /data rw,relatime - nfs filer:/data rw
49 48 253:2 / /data rw,relatime - ext4 /dev/mapper/data rw
50 28 253:3 / /deep/er rw,relatime - ext4 /dev/mapper/er rw
51 28 0:61 / /deep rw,relatime - lustre mds@tcp:/scratch rw
"""

# Of a container: its root lies on something it cannot see.
CONTAINER = r"""
612 487 0:75 / / rw,relatime master:271 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
613 612 0:78 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
620 612 0:39 /vol /work rw,relatime master:3 - 9p host rw,trans=virtio
621 612 259:2 /var/lib/x/hosts /etc/hosts rw,relatime - ext4 /dev/nvme0n1p2 rw
"""


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/var/lib/jobs.db", "ext4"),
        ("/", "ext4"),
        ("/home/ada/jobs.db", "nfs4"),
        ("/home/local/jobs.db", "xfs"),
        ("/home/localhost/jobs.db", "nfs4"),
        ("/homes/jobs.db", "ext4"),
        ("/mnt/team share\\x/jobs.db", "cifs"),
        ("/mnt/other/jobs.db", "fuse.sshfs"),
        ("/mnt/stick/jobs.db", "fuseblk"),
        ("/srv/bound/jobs.db", "ext4"),
        ("/srv/ada/jobs.db", "nfs4"),
        ("/data/jobs.db", "ext4"),  # a disk mounted over a server
        ("/deep/er/jobs.db", "lustre"),  # a server mounted over what a disk was mounted in
        ("/dev/shm/jobs.db", "tmpfs"),
    ],
)
def test_the_mount_that_holds_a_file_is_found(path: str, type_: str) -> None:
    mount = holding(SERVER, PurePosixPath(path))
    assert mount is not None
    assert mount.type == type_
    backwards = "\n".join(reversed(SERVER.splitlines()))
    assert holding(backwards, PurePosixPath(path)) == mount


def test_a_container_knows_its_mounts(tmp_path: Path) -> None:
    found = {
        path: mount.type
        for path in ("/root/jobs.db", "/work/jobs.db", "/etc/hosts")
        if (mount := holding(CONTAINER, PurePosixPath(path)))
    }
    assert found == {"/root/jobs.db": "overlay", "/work/jobs.db": "9p", "/etc/hosts": "ext4"}


@pytest.mark.parametrize(
    "text",
    ["", "\n", "rubbish", "1 1 0:1 / /other rw - nfs a b", "1 2 0:1 / / rw nfs a b", "1 2 3 - nfs"],
)
def test_what_cannot_be_told_is_not_guessed(text: str) -> None:
    assert holding(text, PurePosixPath("/home/jobs.db")) is None


def test_file_systems_of_one_machine_are_not_taken_for_others() -> None:
    for type_ in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "apfs", "virtiofs"):
        assert type_ not in NETWORK


@pytest.fixture
def on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that lies on a server, as far as this machine says."""
    shared = tmp_path / "shared"
    shared.mkdir()
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "28 1 259:2 / / rw - ext4 /dev/sda1 rw\n"
        f"29 28 0:38 / {shared} rw - nfs4 filer:/export rw,vers=4.2\n"
    )
    monkeypatch.setattr(place, "_MOUNTS", mountinfo)
    return shared


@linux
@pytest.mark.parametrize("through", ["directly", "a link", "a new directory"])
def test_a_file_on_a_server_is_refused_before_anything_is_written(
    on_a_server: Path, tmp_path: Path, through: str
) -> None:
    path = on_a_server / "jobs.db"
    if through == "a link":
        (tmp_path / "link").symlink_to(on_a_server)
        path = tmp_path / "link" / "jobs.db"
    elif through == "a new directory":
        path = on_a_server / "new" / "jobs.db"
    with pytest.raises(StoreError, match=r"is on NFS, mounted from filer:/export") as refused:
        open_store(path)
    assert "allow_network_disk" in str(refused.value)
    assert not refused.value.passing
    assert list(on_a_server.iterdir()) == []
    assert network_disk(tmp_path / "jobs.db") is None


@linux
def test_who_insists_may_keep_a_store_on_a_server(on_a_server: Path) -> None:
    for store in (
        SqliteStore(on_a_server / "jobs.db", allow_network_disk=True),
        open_store(on_a_server / "jobs.db", allow_network_disk=True),
    ):
        store.commit(Change(jobs=(new_job("greet", {}, now=NOW),))).result(SOON)
        store.close(SOON)


def test_where_nothing_can_be_told_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_MOUNTS", tmp_path / "no-such-file")
    SqliteStore(tmp_path / "jobs.db").close(SOON)


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="needs Linux")
def test_this_machine_is_understood() -> None:
    assert holding(Path("/proc/self/mountinfo").read_text(), PurePosixPath("/")) is not None
    assert network_disk(Path("/proc/jobs.db")) is None
