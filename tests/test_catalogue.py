import gc
import gzip
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from nmt.catalogue import RETRIES, locate
from nmt.corpus import CorpusError, read_lines

# pooch leaves the connection of a failed download to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TEXT = b"one\ntwo\n" * 5000


@pytest.fixture
def server(monkeypatch):
    """Serves TEXT by the ways in which a download goes right or wrong; ``paths`` are the requests that it had."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.paths.append(self.path)
            drops = self.path.startswith("/dropped") or (self.path.startswith("/once") and len(served.paths) == 1)
            if self.path.startswith("/absent"):
                self.send_error(404)
                return
            body = gzip.compress(TEXT, mtime=0) if self.path.endswith(".gz") else TEXT
            body = body[: len(body) // 2] if self.path.startswith("/truncated") else body
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if drops else body)  # the connection closes: dropped midway

        def log_message(self, format, *args):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.paths = []
    served.url = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between retries
    yield served
    served.shutdown()
    served.server_close()
    thread.join()
    gc.collect()  # here, where its warning is expected


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv("NMT_DATA", raising=False)


def corpus_folder(tmp_path, url, content=TEXT, name="train.en"):
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    files = {name: {"url": url, "sha256": hashlib.sha256(content).hexdigest(), "lines": 10000}}
    (folder / "corpus.yaml").write_text(yaml.safe_dump({"origin": "here", "licence": "none", "files": files}))
    return folder


def cached(tmp_path):
    return [path.name for path in (tmp_path / "data" / ".cache").rglob("*") if path.is_file()]


def test_a_file_in_the_folder_is_taken_first(tmp_path, server, monkeypatch):
    folder = corpus_folder(tmp_path, f"{server.url}/train.en")
    (folder / "train.en").write_text("mine\n")
    monkeypatch.setenv("NMT_DATA", str(tmp_path / "mirror"))
    assert locate(folder, "train.en") == folder / "train.en"
    assert server.paths == []


@pytest.mark.parametrize("asked", ["train.en", "train.en.gz"])
@pytest.mark.parametrize("stored", ["train.en", "train.en.gz", "train.en.xz"])
def test_a_name_stands_for_its_text_however_compressed(tmp_path, asked, stored):
    (tmp_path / stored).write_text("x")
    assert locate(tmp_path, asked) == tmp_path / stored


def test_the_name_as_asked_wins(tmp_path):
    for name in ("train.en", "train.en.gz"):
        (tmp_path / name).write_text("x")
    assert locate(tmp_path, "train.en.gz").name == "train.en.gz"
    assert locate(tmp_path, "train.en").name == "train.en"


def test_the_mirror_is_taken_before_the_network_and_instead_of_it(tmp_path, server, monkeypatch):
    folder = corpus_folder(tmp_path, f"{server.url}/train.en")
    mirror = tmp_path / "mirror" / "tiny"
    mirror.mkdir(parents=True)
    monkeypatch.setenv("NMT_DATA", str(tmp_path / "mirror"))
    (mirror / "train.en.gz").write_bytes(gzip.compress(TEXT))
    assert locate(folder, "train.en") == mirror / "train.en.gz"
    with pytest.raises(
        CorpusError, match=r"NMT_DATA names.*/tiny/trian\.en does not exist: did you mean .*train\.en\.gz"
    ):
        locate(folder, "trian.en")
    assert server.paths == []
    assert cached(tmp_path) == []


def test_a_relative_folder_has_a_name_too(tmp_path, monkeypatch):
    folder = corpus_folder(tmp_path, "unused")
    mirror = tmp_path / "mirror" / "tiny"
    mirror.mkdir(parents=True)
    (mirror / "train.en").write_text("x")
    monkeypatch.setenv("NMT_DATA", str(tmp_path / "mirror"))
    monkeypatch.chdir(folder)
    assert locate(Path("."), "train.en") == mirror / "train.en"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_download_is_kept_and_not_repeated(tmp_path, server, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)  # with and without progress bar
    folder = corpus_folder(tmp_path, f"{server.url}/some/upstream.name.en")
    path = locate(folder, "train.en")
    assert path == tmp_path / "data" / ".cache" / "tiny" / "train.en"
    assert path.read_bytes() == TEXT
    assert locate(folder, "train.en.gz") == path
    assert server.paths == ["/some/upstream.name.en"]
    assert cached(tmp_path) == ["train.en"]


def test_a_compressed_download_keeps_its_ending(tmp_path, server):
    folder = corpus_folder(tmp_path, f"{server.url}/train.en.gz", gzip.compress(TEXT, mtime=0))
    assert locate(folder, "train.en").name == "train.en.gz"
    assert read_lines(locate(folder, "train.en")) == ["one", "two"] * 5000


def test_a_spoilt_cache_is_downloaded_again(tmp_path, server):
    folder = corpus_folder(tmp_path, f"{server.url}/train.en")
    locate(folder, "train.en").write_text("spoilt")
    assert locate(folder, "train.en").read_bytes() == TEXT


def test_a_connection_dropped_once_is_tried_again(tmp_path, server):
    folder = corpus_folder(tmp_path, f"{server.url}/once/train.en")
    assert locate(folder, "train.en").read_bytes() == TEXT
    assert len(server.paths) == 2


@pytest.mark.parametrize(
    ("way", "fragment"),
    [
        ("dropped", "IncompleteRead"),
        ("truncated", "does not match the known hash"),
        ("absent", "404"),
    ],
)
def test_a_failed_download_leaves_nothing_and_says_what_to_do(tmp_path, server, way, fragment):
    url = f"{server.url}/{way}/train.en"
    folder = corpus_folder(tmp_path, url)
    with pytest.raises(CorpusError, match=fragment) as caught:
        locate(folder, "train.en")
    for part in (url, "Set NMT_DATA", "tiny/train.en", f"put the file at {folder / 'train.en'}"):
        assert part in str(caught.value)
    assert len(server.paths) == 1 + RETRIES
    assert cached(tmp_path) == []


def test_no_network_is_said(tmp_path, server):
    folder = corpus_folder(tmp_path, "http://127.0.0.1:9/train.en")
    with pytest.raises(CorpusError, match=r"http://127.0.0.1:9/train.en could not be downloaded: .*Set NMT_DATA"):
        locate(folder, "train.en")


def test_another_file_than_the_pinned_one_is_refused(tmp_path, server):
    folder = corpus_folder(tmp_path, f"{server.url}/train.en", b"another text\n")
    with pytest.raises(CorpusError, match="does not match the known hash"):
        locate(folder, "train.en")
    assert cached(tmp_path) == []


def test_a_file_that_is_not_offered_is_refused(tmp_path):
    folder = corpus_folder(tmp_path, "unused", name="pairs.zip")
    with pytest.raises(CorpusError, match=r"corpus.yaml offers only pairs.zip .*tiny/train.en; .*README.md"):
        locate(folder, "train.en")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.en").write_text("x")
    with pytest.raises(CorpusError, match=r"trian.en does not exist: did you mean .*train.en\?"):
        locate(tmp_path / "own", "trian.en")


@pytest.mark.parametrize("content", ["files: [train.en]", "files: {train.en: {url: x}}", "origin: x", "files: {", ""])
def test_a_broken_catalogue_is_refused(tmp_path, content):
    (tmp_path / "corpus.yaml").write_text(content)
    with pytest.raises(CorpusError, match=r"corpus.yaml: expected `files:` with url and sha256"):
        locate(tmp_path, "train.en")


CATALOGUES = sorted((Path(__file__).parent.parent / "data").glob("*/corpus.yaml"))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.name)
def test_a_shipped_catalogue_is_pinned_and_aligned(path):
    catalogue = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(catalogue) == {"origin", "licence", "files"}
    assert "Licence" in (path.parent / "README.md").read_text(encoding="utf-8")
    lines = {}
    for name, entry in catalogue["files"].items():
        assert re.match(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/", entry["url"])
        assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
        lines.setdefault(Path(name).stem, set()).add(entry["lines"])
    assert all(len(counts) == 1 for counts in lines.values())  # every language of a part has as many lines


def test_the_shipped_catalogues_are_found():
    assert {"enja50k", "multi30k", "multi30k-lc-tok", "tatoeba-en-de"} <= {path.parent.name for path in CATALOGUES}
