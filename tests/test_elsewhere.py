"""Documents that somebody works on while they are read."""

import gzip
import os
import threading

import pytest

from nmt.corpus import read_tsv
from nmt.formats import elsewhere
from nmt.formats.document import Pair, Wanted
from nmt.formats.elsewhere import ChangedError

ROWS = b"en,de\none,eins\ntwo,zwei\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS)
    return tmp_path / "a.csv"


def written_to(path):
    with path.open("ab") as file:
        file.write(b"three,drei\n")


def of_later(path):
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def cut_short(path):
    os.truncate(path, 3)


@pytest.mark.parametrize("change", [written_to, of_later, cut_short])
def test_a_file_that_changes_while_it_is_read_is_refused(path, change):
    with path.open("rb") as file:
        pieces = elsewhere.watched(iter([1, 2]), file, path)
        assert next(pieces) == 1
        change(path)
        assert next(pieces) == 2
        with pytest.raises(ChangedError, match=r"a.csv has been changed while it was read; .*run the command again"):
            next(pieces)


def test_a_file_that_is_replaced_or_looked_at_is_not(path, tmp_path):
    with path.open("rb") as file:
        for piece in elsewhere.watched([1, 2], file, path):
            (tmp_path / "other").write_bytes(b"other")
            os.rename(tmp_path / "other", path)
            assert path.read_bytes() == b"other"
            assert piece
        assert file.read() == ROWS


def test_what_is_read_once_has_nothing_to_change(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    writer = threading.Thread(target=(tmp_path / "a.csv").write_bytes, args=(ROWS,))
    writer.start()
    assert list(read_tsv(tmp_path / "a.csv", Wanted("en", "de")).target) == ["eins", "zwei"]
    writer.join()


@pytest.mark.parametrize("salvage", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_nothing_is_learnt_of_two_halves(path, monkeypatch, salvage, ending):
    """Nor is it salvaged, as nothing is broken."""
    path = path.rename(f"{path}{ending}")
    path.write_bytes(gzip.compress(ROWS) if ending else ROWS)

    def pairs(file, name, wanted):
        yield Pair("one", "eins", 2)
        written_to(path)
        yield Pair("two", "zwei", 3)

    monkeypatch.setattr("nmt.formats.table.pairs", pairs)
    with pytest.raises(ChangedError, match="has been changed while it was read"):
        read_tsv(path, Wanted("en", "de", salvage=salvage))


def test_a_document_that_is_open_in_libreoffice_is_told_of(path, caplog):
    assert elsewhere.lock(path) is None
    lock = path.with_name(".~lock.a.csv#")  # as LibreOffice names it
    lock.write_text(",me,here,22.11.2026 10:00,file:///home/me/.config/libreoffice/4;")
    assert elsewhere.lock(path) == lock
    assert list(read_tsv(path, Wanted("en", "de")).source) == ["one", "two"]
    assert f"{path} is open in LibreOffice (.~lock.a.csv#): what has not been saved there is not read" in caplog.text
