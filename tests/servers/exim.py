"""A real mail server on loopback: Debian's Exim, with a configuration of its own."""

from __future__ import annotations

import email
import email.policy
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from tests.servers.certificates import Authority
from tests.servers.ports import free_port
from tests.servers.require import need
from tests.servers.wait import until

USER, PASSWORD = "wayfare", "pass of the mail server"
_OWNER = "Debian-exim"

_CONFIG = """
primary_hostname = mx.bank.test
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = {tls_hosts}
tls_certificate = {certificate}
tls_privatekey = {key}
acl_smtp_rcpt = rcpt
acl_smtp_data = data
message_size_limit = 200K
smtp_accept_max_per_connection = {most}
deliver_drop_privilege
log_selector = +smtp_connection
keep_environment =
add_environment = PATH=/usr/bin:/bin

begin acl
rcpt:
  deny    domains = !bank.test
          message = relaying to $local_part@$domain is denied
  deny    local_parts = unknown
          message = no such user $local_part@$domain
  defer   local_parts = greylisted
  deny    condition = {login}
          !authenticated = *
  accept
data:
  deny    condition = ${{if eq{{$h_subject:}}{{SPAM}}}}
  accept

begin routers
all:
  driver = accept
  transport = files

begin transports
files:
  driver = appendfile
  directory = {folder}/mails
  maildir_format
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


@dataclass
class Exim:
    """A running server. `port` has STARTTLS where it offers TLS, `tls_port` TLS from the start."""

    folder: Path
    port: int
    tls_port: int
    authority: Path

    def mails(self) -> list[EmailMessage]:
        """What was delivered, in the order of arrival."""
        new = self.folder / "mails" / "new"
        files = (
            sorted(new.iterdir(), key=lambda one: one.stat().st_mtime_ns) if new.exists() else []
        )
        return [_read(file.read_bytes()) for file in files]

    def connections(self) -> int:
        """How many there were so far."""
        return (self.folder / "mainlog").read_text().count("SMTP connection from [127.0.0.1]")

    def delivered(self, count: int) -> list[EmailMessage]:
        """Wait for so many mails."""
        until(lambda: len(self.mails()) >= count, what=f"{count} mails")
        return self.mails()


def _read(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@contextmanager
def running_exim(*, tls: bool = True, login: bool = False, most: int = 1000) -> Iterator[Exim]:
    """A server that takes mail for bank.test; with `login`, only from who is known. It closes a
    connection after `most` mails."""
    program = shutil.which("exim4", path=os.environ.get("PATH", "") + ":/usr/sbin")
    need(program, "Exim: apt-get install exim4-daemon-light")
    assert program is not None
    # Exim gives its rights up, so that the folder is under none of root's own.
    folder = Path(tempfile.mkdtemp(prefix="wayfare-exim-"))
    exim = Exim(folder, free_port(), free_port(), folder / "ca.crt")
    certificate, key = Authority(folder).issue("server", user="mx.bank.test", server=True)
    config = folder / "exim.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            port=exim.port,
            tls_port=exim.tls_port,
            tls_hosts="*" if tls else "",
            certificate=certificate,
            key=key,
            login="true" if login else "false",
            most=most,
            user=USER,
            password=PASSWORD,
        )
    )
    for name in ("spool", "mails"):
        (folder / name).mkdir()
    if os.getuid() == 0:
        owner = pwd.getpwnam(_OWNER)
        for one in (folder, *folder.iterdir()):
            os.chown(one, owner.pw_uid, owner.pw_gid)
        os.chown(config, 0, owner.pw_gid)
    config.chmod(0o640)
    words = [program, "-C", str(config), "-bdf"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: _answers(exim.port, process), what="Exim")
        yield exim
    finally:
        process.terminate()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None and process.stderr is not None:
        raise RuntimeError(f"Exim ended: {process.stderr.read().decode()}")
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as there:
            return there.recv(3) == b"220"
    except OSError:
        return False
