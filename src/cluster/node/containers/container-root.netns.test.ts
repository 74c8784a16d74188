import assert from "node:assert/strict";
import { execFileSync, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { ContainerMount } from "./container-root.ts";
import { buildTestRoot } from "./testing/test-root.ts";
import { closeDescriptor, makeTreeReadOnly, mount, mountFlags } from "../libc.ts";
import { inNewNamespaces } from "../namespaces.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { startInContainer } from "./starter.ts";

requireOwnNetwork();

function scratch(): string {
  return mkdtempSync(join(tmpdir(), "serin-root-"));
}

/** Runs a script as a container's first process, with default capabilities. */
async function inContainer(
  mounts: readonly ContainerMount[],
  script: string,
): Promise<{ stdout: string; stderr: string }> {
  const root = buildTestRoot({ mounts, etcFiles: { "resolv.conf": "nameserver 10.96.0.10\n" } });
  const start = (): ChildProcess =>
    startInContainer({
      mount: root,
      rights: {
        privileged: false,
        capabilities: ["chown", "dac_override"],
        user: 0,
        group: 0,
        noNewPrivileges: false,
      },
      ownProc: "read-only",
      ownsTerminal: false,
      argv: ["/bin/sh", "-c", script],
      environment: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin" },
      stdio: ["ignore", "pipe", "pipe"],
      exitDescriptor: undefined,
    });
  const child = inNewNamespaces({ pid: true }, start);
  closeDescriptor(root);
  assert.ok(child.stdout !== null && child.stderr !== null);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr };
}

test("a container cannot write the machine's programs or the kernel's settings, or make them writable", async () => {
  const { stderr } = await inContainer(
    [],
    "touch /usr/x; echo 1 > /proc/sys/kernel/panic; mount -o remount,rw /usr; touch /usr/y; umount /usr; mount -t tmpfs t /usr",
  );
  assert.match(stderr, /cannot touch '\/usr\/x': Read-only/);
  assert.match(stderr, /cannot create \/proc\/sys\/kernel\/panic: Read-only/);
  assert.match(stderr, /cannot touch '\/usr\/y': Read-only/);
  assert.match(stderr, /umount: \/usr: must be superuser|umount: \/usr: .*permitted/);
});

test("a container sees its own /etc and nothing of the machine's users, files or processes", async () => {
  const { stdout } = await inContainer(
    [],
    "cat /etc/resolv.conf; ls /etc/shadow /home/* /.old 2>&1; ls -d /proc/[0-9]* | wc -l; wc -l < /etc/passwd",
  );
  assert.match(stdout, /^nameserver 10\.96\.0\.10\n/);
  assert.match(stdout, /'?\/etc\/shadow'?: No such file/);
  assert.match(stdout, /'?\/\.old'?: No such file/);
  // The container's /proc shows at most the shell and the two ends of its pipe.
  assert.match(stdout, /\n[1-5]\n4\n$/);
});

test("volumes are mounted at their paths, even through links, and read-only ones are read-only", async () => {
  const data = scratch();
  writeFileSync(join(data, "token"), "secret");
  const writable = scratch();
  const { stdout, stderr } = await inContainer(
    [
      { source: data, target: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true },
      { source: writable, target: "/data", readOnly: false },
      { source: join(data, "token"), target: "/etc/one/file", readOnly: true },
    ],
    "cat /run/secrets/kubernetes.io/serviceaccount/token /etc/one/file; touch /var/run/secrets/kubernetes.io/serviceaccount/x; echo hi > /data/out",
  );
  assert.equal(stdout, "secretsecret");
  assert.match(stderr, /Read-only file system/);
  assert.equal(execFileSync("cat", [join(writable, "out")], { encoding: "utf8" }), "hi\n");
});

test("a volume can be mounted inside a read-only one, in either order", async () => {
  const [outer, inner] = [scratch(), scratch()];
  writeFileSync(join(outer, "root-cert.pem"), "root");
  writeFileSync(join(inner, "crl"), "list");
  const { stdout, stderr } = await inContainer(
    [
      { source: inner, target: "/secrets/istio/crl", readOnly: false },
      { source: outer, target: "/secrets/istio", readOnly: true },
    ],
    "cat /secrets/istio/root-cert.pem /secrets/istio/crl/crl; touch /secrets/istio/crl/x; touch /secrets/istio/y",
  );
  assert.equal(stdout, "rootlist");
  assert.match(stderr, /cannot touch '\/secrets\/istio\/y'/);
  assert.doesNotMatch(stderr, /crl\/x/);
});

test("a volume whose mount path is a link to nothing is an error of the user, which names the link", async () => {
  const [outer, inner] = [scratch(), scratch()];
  symlinkSync("releases/1", join(outer, "current"));
  const mounts = ["/app/current", "/app/current/data"].map((target) => [
    { source: outer, target: "/app", readOnly: false },
    { source: inner, target, readOnly: false },
  ]);
  for (const both of mounts)
    await assert.rejects(inContainer(both, "true"), /"\/app\/current" in the container is a link to nothing/);
});

test("the error of a mount that cannot be made read-only names the mount", () => {
  const noTree = 9_999;
  assert.throws(() => makeTreeReadOnly(noTree, "/data"), /^SerinError: make \/data read-only\W+EBADF$/);
  const flags = mountFlags.remount | mountFlags.bind | mountFlags.readOnly;
  assert.throws(() => mount(null, "/absent", null, flags), /^SerinError: remount \/absent: ENOENT$/);
});

test("a container's mounts are invisible outside", async () => {
  const before = execFileSync("sh", ["-c", "wc -l < /proc/self/mountinfo"], { encoding: "utf8" });
  mkdirSync(join(scratch(), "x"));
  await inContainer([], "true");
  assert.equal(execFileSync("sh", ["-c", "wc -l < /proc/self/mountinfo"], { encoding: "utf8" }), before);
});

test("a link that a pod puts into the place of a volume leads no mount to the machine's files", async () => {
  const node = scratch();
  mkdirSync(join(node, "volume/file-above"), { recursive: true });
  writeFileSync(join(node, "volume/file"), "content");
  symlinkSync(`${"../".repeat(12)}etc`, join(node, "link"));
  const mountOf = (name: string): ContainerMount => ({
    source: join(node, name),
    below: node,
    target: "/data",
    readOnly: false,
  });
  assert.equal((await inContainer([mountOf("volume")], "cat /data/file")).stdout, "content");
  assert.equal((await inContainer([mountOf("volume/file")], "cat /data")).stdout, "content");
  for (const name of ["link", "link/ssl"])
    await assert.rejects(inContainer([mountOf(name)], "ls /data"), /a link or another file stands where the node/);
});
