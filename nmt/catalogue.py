"""Where the files of a corpus are: in its folder, in a local mirror, or in a download cache.

A corpus folder holds ``corpus.yaml`` (``origin``, ``licence``, and ``files``: for each file name, without the ending of
its compression, the ``url`` pinned to a commit, the ``sha256`` of the download and its ``lines``) and a README.
"""

import os
import sys
from pathlib import Path

import yaml

from nmt.corpus import COMPRESSIONS, CorpusError, missing

RETRIES = 3


def locate(folder: str | Path, name: str) -> Path:
    """The local path of file ``name`` of the corpus in ``folder``, downloaded if need be.

    Looked for in ``folder`` itself; then, where the environment variable NMT_DATA names a local mirror, in
    ``$NMT_DATA/<folder name>``, and nowhere else; otherwise in ``.cache/<folder name>`` beside the folder, which is
    filled from the pinned url. A download takes its final name only once its SHA-256 is right. ``train.en`` and
    ``train.en.gz`` ask for the same text and each finds the other.

    Raises:
        CorpusError: the file is in none of these places, or its download failed or is not the pinned file.
    """
    folder = Path(folder)
    corpus = folder.resolve().name
    text = _uncompressed(name)
    if found := _stored(folder, name):
        return found
    if mirror := os.environ.get("NMT_DATA"):
        if found := _stored(Path(mirror) / corpus, name):
            return found
        raise CorpusError(
            f"{name} is not in {folder}. Put it there or into the mirror that NMT_DATA names, or unset NMT_DATA to "
            f"download it: {missing(Path(mirror) / corpus / name)}"
        )
    if not (folder / "corpus.yaml").exists():
        raise missing(folder / name)
    downloads = _downloads(folder / "corpus.yaml")
    if text not in downloads:
        raise CorpusError(
            f"{folder / name} does not exist, and corpus.yaml offers only {', '.join(downloads)} for download. Put the "
            f"file there, or set NMT_DATA to a folder that holds {corpus}/{name}; {folder / 'README.md'} says more"
        )
    url, sha256 = downloads[text]
    file = text + (Path(url).suffix if Path(url).suffix in COMPRESSIONS else "")
    return _fetch(folder, corpus, file, url, sha256)


def _uncompressed(name: str) -> str:
    return name.removesuffix(Path(name).suffix) if Path(name).suffix in COMPRESSIONS else name


def _stored(folder: Path, name: str) -> Path | None:
    """The file of that name in ``folder``, or else the same text with another compression."""
    text = _uncompressed(name)
    candidates = [folder / candidate for candidate in (name, text, *(text + ending for ending in COMPRESSIONS))]
    return next((path for path in candidates if path.is_file()), None)


def _downloads(path: Path) -> dict[str, tuple[str, str]]:
    """(url, sha256) of each file that a ``corpus.yaml`` offers."""
    try:
        files = yaml.safe_load(path.read_text(encoding="utf-8"))["files"]
        return {name: (str(entry["url"]), str(entry["sha256"])) for name, entry in files.items()}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: expected `files:` with url and sha256 for each file name ({error!r})") from error


def _fetch(folder: Path, corpus: str, file: str, url: str, sha256: str) -> Path:
    import pooch  # here, because it costs time and most calls find the file in place

    cache = folder.resolve().parent / ".cache" / corpus
    keeper = pooch.create(cache, "", registry={file: sha256}, urls={file: url}, retry_if_failed=RETRIES)
    try:
        return Path(keeper.fetch(file, progressbar=sys.stderr.isatty()))
    except (OSError, ValueError) as error:  # every error of requests is an OSError, a wrong checksum a ValueError
        raise CorpusError(
            f"{url} could not be downloaded: {error}. "
            f"Set NMT_DATA to a local mirror that holds {corpus}/{file}, or put the file at {folder / file}"
        ) from error
