import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { NetworkAttachment } from "./network-attachment.ts";

requireOwnNetwork();

const attached = { pod: { metadata: { name: "web", namespace: "shop", uid: "1" } } as Pod, initPid: 1, ip: "10.0.0.1" };

test("a plugin that a pod wrote sees only the node's files and its own process, and has no rights", async (context) => {
  if (!existsSync("/bin/busybox")) {
    context.skip("there is no static shell: install busybox");
    return;
  }
  const hostRoot = mkdtempSync(join(tmpdir(), "serin-plugin-"));
  context.after(() => rmSync(hostRoot, { recursive: true }));
  const attachment = new NetworkAttachment(hostRoot);
  attachment.prepare();
  const list = { plugins: [{ type: "lab" }, { type: "hostile" }] };
  writeFileSync(join(hostRoot, "etc/cni/net.d/10-lab.conflist"), JSON.stringify(list));
  // A static shell that needs no files.
  copyFileSync("/bin/busybox", join(hostRoot, "opt/cni/bin/busybox"));
  const script = `#!/opt/cni/bin/busybox sh
b=/opt/cni/bin/busybox
$b mkdir -p /proc
$b mount -t proc proc /proc 2>/seen; $b ls / /../.. >>/seen
$b chroot / $b true 2>>/seen
echo "$CNI_COMMAND $$" >>/seen
echo '{}'
`;
  writeFileSync(join(hostRoot, "opt/cni/bin/hostile"), script, { mode: 0o755 });
  await attachment.add(attached);
  const seen = readFileSync(join(hostRoot, "seen"), "utf8");
  assert.match(seen, /mount: (permission denied|mounting proc on \/proc failed)/);
  assert.match(seen, /chroot: .*not permitted/);
  assert.match(seen, /ADD 1\n$/);
  assert.doesNotMatch(seen, /^home$/m);
});

test("a link that a pod left in the place of the network's configuration leads to no other file", (context) => {
  const [hostRoot, machine] = [0, 1].map(() => mkdtempSync(join(tmpdir(), "serin-plugin-"))) as [string, string];
  context.after(() => [hostRoot, machine].forEach((path) => rmSync(path, { recursive: true })));
  mkdirSync(join(hostRoot, "etc"));
  symlinkSync(machine, join(hostRoot, "etc/cni"));
  const attachment = new NetworkAttachment(hostRoot);
  attachment.prepare();
  assert.equal(attachment.installed, false);
  assert.equal(existsSync(join(machine, "net.d")), false);
});
