"""Sets a PostgreSQL up as compose.yaml does, without a container: the password file, the migration, a key, backup, restore.

usage: database.py BINARY FOLDER (an empty one)
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import files
from running import environment, free_port, running, stop, wait_until

PASSWORD = "a:password\\with-all"
SERVERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def tools():
    """Returns the folder with initdb: on PATH, or the newest one."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    found = [path for pattern in SERVERS for path in Path("/").glob(pattern[1:]) if (path / "initdb").exists()]
    if not found:
        sys.exit("PostgreSQL is not installed: tests/run installs it or says how")
    return max(found)


def server_user():
    """Returns the words before a command that run it as somebody whom the server takes: it refuses root."""
    if os.getuid() != 0:
        return [], None
    known = subprocess.run(["id", "postgres"], capture_output=True).returncode == 0
    user = "postgres" if known else "nobody"
    return ["runuser", "-u", user, "--"], user


def run(words, **options):
    """Runs a command that has to succeed and returns what it prints."""
    done = subprocess.run(words, capture_output=True, timeout=120, **options)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, words))} fails: {done.stderr.decode()}")
    return done.stdout


def commands(text):
    """Returns the backup's and the restore's command, as compose.yaml's comments have them."""
    (dump,) = re.findall(r"exec -T postgres (pg_dump .*) >", text)
    (restore,) = re.findall(r"exec -T postgres (pg_restore .*) <", text)
    return shlex.split(dump), shlex.split(restore)


def start_words(folder, service, port):
    """Makes the cluster as the image makes it from the service's environment; returns the command that starts it."""
    bin_folder = tools()
    prefix, user = server_user()
    home = folder / "server"
    home.mkdir()
    (home / "password").write_text(PASSWORD)
    if user:
        run(["chown", "-R", user, home])
    folder.chmod(0o755)
    settings = service["environment"]
    words = [*prefix, bin_folder / "initdb", "-D", home / "data", "-U", settings["POSTGRES_USER"], "--no-sync"]
    words += [f"--pwfile={home}/password", "--auth-local=trust", *shlex.split(settings["POSTGRES_INITDB_ARGS"])]
    run(words, cwd=home, env=environment(LC_ALL="C"))
    return [*prefix, bin_folder / "postgres", "-D", home / "data", "-h", "127.0.0.1", "-p", str(port), "-k", home], home


def main():
    """Sets up, migrates, makes a key, backs up, loses everything, restores."""
    binary, folder = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    text = files.COMPOSE.read_text()
    services = yaml.safe_load(text)["services"]
    port = free_port()
    words, home = start_words(folder, services["postgres"], port)
    settings = services["postgres"]["environment"]
    user, database = settings["POSTGRES_USER"], settings["POSTGRES_DB"]
    # In its container the database's own tools come by the socket.
    within = environment(PGHOST=str(home), PGPORT=str(port), LC_ALL="C")
    within["PATH"] = f"{tools()}:{within['PATH']}"
    with running(words, folder / "postgres.log", cwd=home, env=environment(LC_ALL="C")) as server:
        ready = ["pg_isready", "--quiet", f"--host={home}"]
        wait_until(lambda: subprocess.run(ready, env=within).returncode == 0, "PostgreSQL is ready", 30)
        run(["createdb", "-U", user, database], env=within)
        url = services["tissuecast"]["environment"]["TISSUECAST_DATABASE_URL"].replace("@postgres:5432", f"@127.0.0.1:{port}")
        passfile = folder / "pgpass"
        (line,) = re.findall(r"printf '(postgres:5432:[^']*)\\n'", text)
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        passfile.write_text(line.replace("postgres:5432", f"127.0.0.1:{port}").replace("%s", escaped) + "\n")
        values = environment(TISSUECAST_DATABASE_URL=url, PGPASSFILE=str(passfile))
        passfile.chmod(0o440)
        if subprocess.run([binary, "migrate"], env=values, capture_output=True, timeout=60).returncode == 0:
            sys.exit("a password file that others can read is used: the comments say that it is not")
        passfile.chmod(0o400)
        run([binary, *services["migrate"]["command"]], env=values)
        run([binary, "keys", "create", "--name", "lab"], env=values)
        keys = run([binary, "keys", "list"], env=values)
        if b"lab" not in keys:
            sys.exit(f"the key that was made is not listed: {keys.decode()}")

        dump, restore = commands(text)
        saved = run(dump, env=within)
        run([binary, "keys", "create", "--name", "later"], env=values)
        run(restore, env=within, input=saved)
        after = run([binary, "keys", "list"], env=values)
        if after != keys:
            sys.exit(f"the restored store is not what was backed up: {after.decode()}")
        run(["dropdb", "-U", user, database], env=within)
        run(["createdb", "-U", user, database], env=within)
        run(restore, env=within, input=saved)
        run([binary, "migrate"], env=values)
        if run([binary, "keys", "list"], env=values) != keys:
            sys.exit("a new database does not get back what was backed up")
        stop(server, 30)
    print(f"  migrated by password file, backed up ({len(saved)} bytes), restored over the old and into a new database")


if __name__ == "__main__":
    main()
