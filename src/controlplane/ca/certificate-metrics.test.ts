import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, userError, type Clock } from "../../base/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { addExpiryMetrics, createCertificateMetrics } from "./certificate-metrics.ts";
import { keyPem, makeAuthority } from "./testing/authorities.ts";

const hourMs = 3_600_000;
const valueOf = (metrics: MetricsRegistry, series: string): number | undefined => {
  const line = renderPrometheus(metrics)
    .split("\n")
    .find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

test("requests are counted by upstream's names, and refusals by their reason", () => {
  const metrics = new MetricsRegistry();
  const counted = createCertificateMetrics(metrics);
  counted.requested();
  counted.issued();
  counted.unauthenticated();
  for (const code of ["bad-csr", "ttl-too-long", "not-allowed", "unexpected"] as const)
    counted.refused(userError(code, "no"));
  const read = (name: string): number | undefined => valueOf(metrics, `citadel_server_${name}`);
  assert.deepEqual(
    ["csr_count", "success_cert_issuance_count", "authentication_failure_count", "csr_parsing_err_count"].map(read),
    [1, 1, 2, 1],
  );
  assert.deepEqual(
    ["CSR_ERROR", "TTL_ERROR", "CERT_GEN_ERROR"].map((error) => read(`csr_sign_err_count{error="${error}"}`)),
    [1, 1, 1],
  );
});

test("metrics report when the root and the authority below it expire, even after that", async () => {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const root = await makeAuthority({ name: "root", toMs: now + 10 * hourMs });
  const signer = await makeAuthority({ name: "signer", issuer: root, toMs: now + hourMs });
  const authority = await CertificateAuthority.load(
    { certificate: signer.certificate, privateKey: keyPem(signer.key), root: root.certificate, chain: "" },
    systemClock,
  );
  const metrics = new MetricsRegistry();
  const clock: Clock = { ...systemClock, nowMs: () => now + 2 * hourMs };
  addExpiryMetrics(metrics, () => authority, clock);
  assert.equal(valueOf(metrics, "citadel_server_root_cert_expiry_timestamp"), (now + 10 * hourMs) / 1000);
  assert.equal(valueOf(metrics, "citadel_server_root_cert_expiry_seconds"), 8 * 3600);
  assert.equal(valueOf(metrics, "citadel_server_cert_chain_expiry_seconds"), -3600);
});

test("an expired authority signs no certificate, and no certificate outlives its issuer", async () => {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const root = await makeAuthority({ name: "root", toMs: now + hourMs });
  const material = { certificate: root.certificate, privateKey: keyPem(root.key), root: root.certificate, chain: "" };
  const authority = await CertificateAuthority.load(material, systemClock);
  assert.equal((await authority.issueServing(["a"], 24 * hourMs)).notAfterMs, now + hourMs);
  const later = await CertificateAuthority.load(material, { ...systemClock, nowMs: () => now + 2 * hourMs });
  await assert.rejects(later.issueServing(["a"], hourMs), /the authority expired/);
});
