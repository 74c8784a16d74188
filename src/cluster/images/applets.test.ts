import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { before, after, test } from "node:test";
import { appletCommand, appletNames, appletScripts } from "./applets.ts";

const root = join(import.meta.dirname, "../../..");
let directory: string;

before(() => (directory = mkdtempSync(join(tmpdir(), "serin-applets-"))));
after(() => rmSync(directory, { recursive: true }));

/**
 * Writes the applets' scripts. `machine` contains the programs of the simulated machine, which print their name and
 * arguments.
 */
function image(name: string, machine: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const places = { release: root, machine: [join(directory, name, "machine")] };
  const bin = join(directory, name, "bin");
  const write = (file: string, script: string): void => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, script, { mode: 0o755 });
  };
  for (const [program, script] of Object.entries(appletScripts(appletNames, places))) write(join(bin, program), script);
  for (const [program, script] of Object.entries(machine)) write(join(directory, name, "machine", program), script);
  return {
    PATH: [bin, dirname(process.execPath), "/usr/bin", "/bin"].join(delimiter),
    NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
  };
}

async function shell(script: string, env: NodeJS.ProcessEnv): Promise<{ out: string; err: string }> {
  const { stdout, stderr } = spawn("/bin/sh", ["-c", script], {
    cwd: directory,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([text(stdout), text(stderr)]);
  return { out, err };
}

test("a shell on a machine without busybox finds the release's applets, which work together", async () => {
  const env = image("bare", {});
  writeFileSync(join(directory, "page.txt"), "from httpd\n");
  const script = `port=$((20000 + $$ % 10000))
httpd -f -p 127.0.0.1:$port -h . & server=$!
until nc -z 127.0.0.1 $port; do sleep 1; done 2>/dev/null
wget -qO- http://127.0.0.1:$port/page.txt
printf 'HEAD /page.txt HTTP/1.0\\r\\n\\r\\n' | busybox nc 127.0.0.1 $port | head -n 1 | tr -d '\\r'
kill $server; wait $server
nc -l -s 127.0.0.1 -p $port -e tr a-z A-Z &
until echo "to nc" | nc 127.0.0.1 $port 2>/dev/null; do sleep 1; done
nslookup; echo $?`;
  const { out, err } = await shell(script, env);
  assert.equal(out, "from httpd\nHTTP/1.1 200 OK\nTO NC\n2\n", err);
  assert.match(err, /^nslookup: nslookup takes a name/m);
});

test("the machine's program is preferred if it behaves like busybox's, even when called through busybox", async () => {
  const script = (name: string): string => `#!/bin/sh\necho "machine's ${name} $*"\n`;
  const busybox = '#!/bin/sh\n[ "$1" = --list ] && exec echo httpd\necho "machine\'s busybox $*"\n';
  const machine = {
    httpd: script("httpd"),
    nc: script("nc"),
    nslookup: script("nslookup"),
    wget: script("wget"),
    busybox,
  };
  const { out, err } = await shell(
    "wget a; nslookup b; httpd -f; busybox wget c; busybox ls d; nc -u",
    image("full", machine),
  );
  assert.equal(
    out,
    "machine's wget a\nmachine's nslookup b\nmachine's busybox httpd -f\nmachine's wget c\nmachine's busybox ls d\n",
  );
  assert.match(err, /^nc: invalid option -- 'u'/m, "the release's nc");
});

test("a command that names an applet by a path of the image runs the applet", () => {
  const commands = ["/bin/wget", "/usr/sbin/httpd", "/bin/busybox", "wget", "/bin/sh", "/data/wget", "", "/wget"];
  assert.deepEqual(
    commands.map((word) => appletCommand(word, appletNames)),
    [
      "/opt/image/bin/wget",
      "/opt/image/bin/httpd",
      "/opt/image/bin/busybox",
      "wget",
      "/bin/sh",
      "/data/wget",
      "",
      "/wget",
    ],
  );
  assert.equal(appletCommand("/bin/wget", []), "/bin/wget");
  assert.deepEqual(appletScripts([]), {});
});
