import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
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
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { NetworkAttachment } from "./network-attachment.ts";

requireOwnNetwork();

const attached = { pod: { metadata: { name: "web", namespace: "shop", uid: "1" } } as Pod, initPid: 1, ip: "10.0.0.1" };

/** Copies a shell with its libraries to a root directory, so that plugins can be shell scripts. */
function copyShell(root: string): void {
  const libraries = [...execFileSync("ldd", ["/bin/sh"], { encoding: "utf8" }).matchAll(/(\/\S+) \(/g)];
  for (const path of ["/bin/sh", ...libraries.map(([, library = ""]) => library)]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}

test("a plugin that a pod wrote sees only the node's files and its own process, and has no rights", async (context) => {
  const hostRoot = mkdtempSync(join(tmpdir(), "serin-plugin-"));
  context.after(() => rmSync(hostRoot, { recursive: true }));
  const attachment = new NetworkAttachment(hostRoot);
  attachment.prepare();
  const list = { plugins: [{ type: "lab" }, { type: "hostile" }] };
  writeFileSync(join(hostRoot, "etc/cni/net.d/10-lab.conflist"), JSON.stringify(list));
  copyShell(hostRoot);
  writeFileSync(join(hostRoot, "locked"), "", { mode: 0 });
  const script = `#!/bin/sh
exec 2>/err
echo "$CNI_COMMAND $$" >/seen
for file in /* /../*; do case $file in */home|*/proc) echo "$file" >>/seen ;; esac; done
(echo x >/locked) && echo "wrote /locked" >>/seen
echo '{}'
`;
  writeFileSync(join(hostRoot, "opt/cni/bin/hostile"), script, { mode: 0o755 });
  await attachment.add(attached);
  assert.equal(readFileSync(join(hostRoot, "seen"), "utf8"), "ADD 1\n");
});

test("a plugin without a program is reported with the folder in which the node looks for it", async (context) => {
  const hostRoot = mkdtempSync(join(tmpdir(), "serin-plugin-"));
  context.after(() => rmSync(hostRoot, { recursive: true }));
  const attachment = new NetworkAttachment(hostRoot);
  attachment.prepare();
  const list = { plugins: [{ type: "lab" }, { type: "elsewhere" }] };
  writeFileSync(join(hostRoot, "etc/cni/net.d/10-lab.conflist"), JSON.stringify(list));
  await assert.rejects(
    attachment.add(attached),
    /^SerinError: failed to find plugin "elsewhere" in path \[\/opt\/cni\/bin\]$/,
  );
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
