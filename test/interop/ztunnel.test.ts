// Upstream's own ztunnel under Serin's control plane and authority, with HBONE between it and Serin's in both directions.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, describe, test } from "node:test";
import { root } from "../support/lab-cluster.ts";

const given = process.env["ZTUNNEL"];
const timeoutMs = 300_000;

const cases = ["upstream's client, Serin's server", "Serin's client, upstream's server", "upstream's client asks for addresses as it needs them", "nothing was refused"];

if (given === undefined) process.stderr.write("no proof with a real ztunnel: ZTUNNEL names no program; ZTUNNEL=<path> npm run interop\n");
else describe("a real ztunnel", () => proof(resolve(given)));

function proof(program: string): void {
  let outcome: Readonly<Record<string, string>> = {};

  before(async () => {
    assert.ok(existsSync(program), `there is no ${program}`);
    outcome = await run(program);
  }, { timeout: timeoutMs });

  for (const title of cases) test(title, () => assert.equal(outcome[title], "ok"));
}

async function run(program: string): Promise<Readonly<Record<string, string>>> {
  const child = spawn(join(root, "test/interop/mesh/in-namespace.sh"), [process.execPath, join(root, "test/interop/ztunnel/ztunnel-traffic.ts"), program], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  await new Promise((done) => child.once("exit", done));
  return JSON.parse(text.trim().split("\n").at(-1) ?? "{}") as Record<string, string>;
}
