import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../base/testing/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { TestProxy } from "./testing/test-proxy.ts";

test("with OUTPUT_CERTS a proxy keeps its certificate in files, for another program of its pod", async (context) => {
  const parent = await mkdtemp(join(tmpdir(), "certificates-"));
  context.after(async () => await rm(parent, { recursive: true }));
  const folder = join(parent, "custom");
  await using _proxy = await TestProxy.start({
    name: "web",
    role: "sidecar",
    authority: new FakeCertificateAuthority(),
    environment: { OUTPUT_CERTS: folder },
  });
  const names = ["cert-chain.pem", "key.pem", "root-cert.pem"];
  await until(async () => (await readdir(folder).catch(() => [])).join() === names.join());
  const [chain = "", key = "", roots = ""] = await Promise.all(
    names.map(async (name) => await readFile(join(folder, name), "utf8")),
  );
  const certificate = new X509Certificate(chain);
  assert.match(certificate.subjectAltName ?? "", /^URI:spiffe:\/\//);
  assert.ok(certificate.verify(new X509Certificate(roots).publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
});
