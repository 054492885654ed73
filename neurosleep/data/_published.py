"""What is known of the published files: names, counts and checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["MEMBERS", "SOURCES", "Checksums", "Member", "Source", "md5", "owner", "sha256"]


@dataclass(frozen=True)
class Member:
    """One of the four files of a set: ``part`` is "train" or "test", ``kind`` is "images" or "labels"."""

    part: str
    kind: str

    @property
    def magic(self) -> int:
        """First four bytes of the idx file: unsigned bytes, of rank 3 (images) or 1 (labels)."""
        return 2051 if self.kind == "images" else 2049

    @property
    def idx_names(self) -> tuple[str, ...]:
        """File names in the idx format, without ``.gz``; the second spelling is what some copies bear."""
        stem = "train" if self.part == "train" else "t10k"
        rank = "idx3" if self.kind == "images" else "idx1"
        return (f"{stem}-{self.kind}-{rank}-ubyte", f"{stem}-{self.kind}.{rank}-ubyte")

    @property
    def npz_array(self) -> str:
        """Name of the array in a single npz file that holds the whole set."""
        return ("x" if self.kind == "images" else "y") + "_" + self.part


MEMBERS = tuple(Member(part, kind) for part in ("train", "test") for kind in ("images", "labels"))


@dataclass(frozen=True)
class Checksums:
    """Of one member: MD5 of the published gz and npz file, SHA-256 of the idx content; None where not known to us."""

    gz_md5: str
    idx_sha256: str | None = None
    npz_md5: str | None = None


@dataclass(frozen=True)
class Source:
    """One published set.

    Parameters
    ----------
    title:
        Its name in sentences.
    torchvision:
        Class of torchvision that downloads it, and its folder there.
    folders:
        Names under which its folder is looked for.
    npz_stem:
        Start of the file names where each member is an npz file (``<stem>-train-imgs.npz``), or None.
    single_npz:
        File names of a single npz file that holds all members.
    counts:
        Images in the training and in the test part.
    checksums:
        In the order of ``MEMBERS``.
    """

    title: str
    torchvision: str
    folders: tuple[str, ...]
    npz_stem: str | None
    single_npz: tuple[str, ...]
    counts: tuple[int, int]
    checksums: tuple[Checksums, Checksums, Checksums, Checksums]

    def count(self, part: str) -> int:
        """Number of images that the published ``part`` has."""
        return self.counts[0] if part == "train" else self.counts[1]

    def file_names(self, member: Member) -> tuple[str, ...]:
        """File names that ``member`` may have, the quickest to read first."""
        names = [name + ending for name in member.idx_names for ending in ("", ".gz")]
        if self.npz_stem is not None:
            names.append(f"{self.npz_stem}-{member.part}-{'imgs' if member.kind == 'images' else 'labels'}.npz")
        return tuple(names)

    def checks(self, member: Member) -> Checksums:
        """The checksums of ``member``."""
        return self.checksums[MEMBERS.index(member)]


SOURCES: dict[str, Source] = {
    "mnist": Source(
        title="MNIST",
        torchvision="MNIST",
        folders=("MNIST", "mnist"),
        npz_stem=None,
        single_npz=("mnist.npz",),
        counts=(60_000, 10_000),
        checksums=(
            Checksums(
                "f68b3c2dcbeaaa9fbdd348bbdeb94873", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            Checksums(
                "d53e105ee54ea40749a09fcbcd1e9432", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            Checksums(
                "9fb629c4189551a2d022fa330f9573f3", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            Checksums(
                "ec29112dd5afa0611ce80d1b7f02629c", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        ),
    ),
    "fashion-mnist": Source(
        title="Fashion-MNIST",
        torchvision="FashionMNIST",
        folders=("FashionMNIST", "fashion-mnist", "fashion_mnist", "fashionmnist", "Fashion-MNIST"),
        npz_stem=None,
        single_npz=("fashion-mnist.npz", "fashion_mnist.npz"),
        counts=(60_000, 10_000),
        checksums=(
            Checksums(
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            Checksums(
                "25c81989df183df01b3e8a0aad5dffbe", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            Checksums(
                "bef4ecab320f06d8554ea6380940ec79", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            Checksums(
                "bb300cfdad3c16e7a12a480ee83cd310", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        ),
    ),
    "kmnist": Source(
        title="Kuzushiji-MNIST",
        torchvision="KMNIST",
        folders=("KMNIST", "kmnist", "Kuzushiji-MNIST"),
        npz_stem="kmnist",
        single_npz=("kmnist.npz",),
        counts=(60_000, 10_000),
        checksums=(
            Checksums("bdb82020997e1d708af4cf47b453dcf7"),
            Checksums("e144d726b3acfaa3e44228e80efcd344"),
            Checksums("5c965bf0a639b31b8f53240b1b52f4d7", npz_md5="dace6de62ca8b90843cc45366337d02e"),
            Checksums("7320c461ea6c1c855c0b718fb2a4b134", npz_md5="3ae489a79983d0fe386152684e3b5412"),
        ),
    ),
}

_OWNERS: dict[str, tuple[str, Member]] = {
    digest: (name, member)
    for name, source in SOURCES.items()
    for member in MEMBERS
    for digest in (
        source.checks(member).gz_md5,
        source.checks(member).idx_sha256,
        source.checks(member).npz_md5,
    )
    if digest is not None
}


def owner(digest: str) -> tuple[str, Member] | None:
    """The set and member whose published file has this checksum, or None if no known file has it."""
    return _OWNERS.get(digest)


def md5(data: bytes) -> str:
    """MD5 of ``data``; it recognises a published file and protects nothing."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    """SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()
