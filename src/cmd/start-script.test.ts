import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const directory = mkdtempSync(join(tmpdir(), "serin-start-"));
after(() => rmSync(directory, { recursive: true }));

test("without its Node, the program names what is missing: Linux, or npm install", () => {
  for (const folder of ["bin", "programs"]) mkdirSync(join(directory, folder));
  const program = join(directory, "bin/serin");
  copyFileSync(join(import.meta.dirname, "../../bin/serin"), program);
  const errorOn = (system: string): string => {
    const uname = join(directory, "programs/uname");
    writeFileSync(uname, `#!/bin/sh\n[ "$1" = -s ] && echo ${system} || exec /bin/uname "$@"\n`);
    chmodSync(uname, 0o755);
    const env = { PATH: `${join(directory, "programs")}:/usr/bin:/bin`, HOME: directory };
    const { status, stderr } = spawnSync(program, ["version"], { env, encoding: "utf8" });
    assert.equal(status, 1);
    return stderr;
  };
  assert.match(
    errorOn("Darwin"),
    /^serin: Serin runs on Linux only, and this machine runs Darwin\. Use a virtual machine/,
  );
  assert.match(errorOn("Linux"), /^serin: node-linux-\w+ is not installed; run 'npm install' in /);
});
