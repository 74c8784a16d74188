import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packageRoot } from "../base/index.ts";
import { processHelp } from "./process-help.ts";

test("the help of a process names a page that exists, and other words are left to the process", () => {
  for (const name of ["ztunnel", "pilot", "probe", "kiali", "cluster-node"]) {
    const page = /docs\/\S+\.md/.exec(processHelp(name, ["--help"]) ?? "")?.[0] ?? "none";
    assert.ok(existsSync(join(packageRoot(), page)), page);
  }
  assert.equal(processHelp("proxy", ["sidecar"]), undefined);
  assert.equal(processHelp("proxy", ["sidecar", "--help"]), undefined);
  assert.equal(processHelp("version", ["--help"]), undefined);
});
