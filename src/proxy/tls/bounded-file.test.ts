import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readBoundedFile, readCertificateFile } from "./bounded-file.ts";

test("a file that configuration names is read within a bound, and no device or pipe is", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "serin-bounded-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const [file, pipe] = [join(folder, "file"), join(folder, "pipe")];
  writeFileSync(file, "x".repeat(100_000));
  execFileSync("mkfifo", [pipe]);
  assert.equal((await readCertificateFile(file)).length, 100_000);
  assert.equal((await readBoundedFile(file, 100_000)).length, 100_000);
  await assert.rejects(readBoundedFile(file, 99_999), {
    code: "file-invalid",
    message: `${file} has more than 99999 bytes`,
  });
  assert.ok((await readCertificateFile("/proc/self/status")).startsWith("Name:"), "its status says 0 bytes");
  for (const path of ["/dev/zero", "/dev/null", "/dev/ptmx", pipe, folder])
    await assert.rejects(readCertificateFile(path), { message: `${path} is no regular file` }, path);
  await assert.rejects(readCertificateFile(join(folder, "absent")), { code: "ENOENT" });
});
