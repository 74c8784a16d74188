import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeFifo } from "../libc.ts";
import { NetworkAttachment } from "./network-attachment.ts";

test("a pipe in the place of the network's configuration does not stop the node", (context) => {
  const hostRoot = mkdtempSync(join(tmpdir(), "serin-attachment-"));
  context.after(() => rmSync(hostRoot, { recursive: true }));
  const attachment = new NetworkAttachment(hostRoot);
  attachment.prepare();
  assert.equal(attachment.installed, false);
  const path = join(hostRoot, "etc/cni/net.d/10-lab.conflist");
  writeFileSync(path, JSON.stringify({ plugins: [{ type: "lab" }, { type: "chained" }] }));
  assert.equal(attachment.installed, true);
  rmSync(path);
  makeFifo(path);
  assert.equal(attachment.installed, false);
});
