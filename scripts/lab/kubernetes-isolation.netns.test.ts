import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { requireOwnNetwork } from "../../src/net/testing/index.ts";

requireOwnNetwork();

const program = `
import { execFileSync } from "node:child_process";
import { enteringCommand, runIsolated, surroundings } from ${JSON.stringify(join(import.meta.dirname, "../../test/kubernetes/isolation.ts"))};
const inside = surroundings();
if (inside === undefined) process.exit(await runIsolated([process.execPath, import.meta.filename]));
execFileSync("ip", ["link", "add", "of-the-run", "type", "veth", "peer", "name", "other"]);
console.log(enteringCommand(inside));
setInterval(() => undefined, 60_000);
`;

test("the command that a kept cluster prints leads from outside into the network of its run", async () => {
  const directory = mkdtempSync(join(tmpdir(), "isolation-"));
  const file = join(directory, "run.ts");
  writeFileSync(file, program);
  const run = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(run, "close");
  try {
    const [command] = (await Promise.race([once(createInterface(run.stdout), "line"), ended])) as [string];
    const links = execFileSync("sh", ["-c", `${command} ip -brief link`], { encoding: "utf8" });
    assert.match(links, /^of-the-run@other /m);
  } finally {
    run.kill("SIGTERM");
    await ended;
    rmSync(directory, { recursive: true });
  }
});
