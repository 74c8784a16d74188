import assert from "node:assert/strict";
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createProgram } from "./program.ts";
import { FakeContext } from "./testing/fake-context.ts";

async function serin(...args: string[]): Promise<FakeContext> {
  const context = new FakeContext({});
  await createProgram(context).parseAsync(["alias", ...args]);
  return context;
}

test("the link is created once, found again and removed, and never replaces a foreign istioctl", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-alias-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "bin/istioctl");
  assert.equal(
    (await serin("istioctl", "--dry-run", "-d", join(directory, "bin"))).output,
    `✔ ${path} points to /opt/serin/bin/serin (dry run)\n`,
  );
  for (let times = 0; times < 2; times += 1)
    assert.equal(
      (await serin("istioctl", "-d", join(directory, "bin"))).output,
      `✔ ${path} points to /opt/serin/bin/serin\n`,
    );
  assert.equal(readlinkSync(path), "/opt/serin/bin/serin");
  assert.equal((await serin("istioctl", "-d", join(directory, "bin"), "--remove")).output, `✔ ${path} is removed\n`);
  writeFileSync(path, "#!/bin/sh\n");
  await assert.rejects(
    serin("istioctl", "-d", join(directory, "bin")),
    /istioctl already exists, and serin alias did not create it/,
  );
  await assert.rejects(serin("kubectl"), /"kubectl" is not a name that this command line supports: expected istioctl/);
});
