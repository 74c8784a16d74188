import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestAuthority } from "../../net/testing/index.ts";
import { readBoundedFile, readCertificateFile } from "./bounded-file.ts";
import { revocationsFault, splitRevocations } from "./revocation-lists.ts";

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

test("a revocation list in DER keeps its bytes, and splits into itself in PEM", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "serin-der-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const pem = await (await TestAuthority.create()).revoke("0a");
  const der = Buffer.from(pem.replaceAll(/-----.*-----/g, ""), "base64");
  const file = join(folder, "ca.crl");
  writeFileSync(file, der);
  const text = await readCertificateFile(file);
  assert.deepEqual(Buffer.from(text, "latin1"), der);
  assert.deepEqual(
    splitRevocations(text).map((list) => list.trim()),
    [pem.trim()],
  );
  assert.equal(revocationsFault(text), undefined);
  assert.match(revocationsFault(text.slice(0, -5)) ?? "", /Failed to parse CRL/);
});
