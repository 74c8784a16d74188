import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../kube/index.ts";
import { authorityFindings } from "./authority-findings.ts";
import { clockFindings } from "./clock-findings.ts";

const path = "/api/v1/namespaces/istio-system/configmaps/istio-ca-root-cert";
const fromMs = Date.UTC(2026, 0, 1);
const toMs = Date.UTC(2026, 5, 1);

/** Roots of P-256, valid from January to June of 2026. `openssl ca -selfsign` made them. */
const roots = {
  Old: `MIIBSzCB86ADAgECAgEBMAoGCCqGSM49BAMCMA4xDDAKBgNVBAoMA09sZDAeFw0y
NjAxMDEwMDAwMDBaFw0yNjA2MDEwMDAwMDBaMA4xDDAKBgNVBAoMA09sZDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABO4ZicP6CP/7BKIb1DZLEHxqqXfPoDyVOnZt
8/BqPnu7fAu7pH6KvSksAMx4pKOumHVAl2CS8oLIZkdYUfLDe6ajQjBAMA8GA1Ud
EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBT6cDypl7jrAZsh
fX1qNFI5MRfksjAKBggqhkjOPQQDAgNHADBEAiBc1UTiwpXndr4qTzLhzS3Uzw18
jvmxFSyLiYVBr2xkuQIgaig5tTyKGkjPvCCvNNSRd7P4x2T7fdujuTnKI95PQk0=`,
  New: `MIIBTDCB86ADAgECAgECMAoGCCqGSM49BAMCMA4xDDAKBgNVBAoMA05ldzAeFw0y
NjAxMDEwMDAwMDBaFw0yNjA2MDEwMDAwMDBaMA4xDDAKBgNVBAoMA05ldzBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABAD5Gq93wyBzwod6H8pZq2tFQ6gRg2F8+WQ7
7OaSvrPhCjt/OqtBIBjxn4yTObq3ufC2Fva8eqiYH5lwaTXawBSjQjBAMA8GA1Ud
EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBRMdJko0TuncY8d
lj+6zgA4on10GTAKBggqhkjOPQQDAgNIADBFAiAjMJm9w4b50pnTqaPjWowHRnf2
EfrCMPHJe0mKhPNHYwIhAKvHH0eqYiWI9Xz4lDwiGp4wPHm87YX4SndfZIJfQXEv`,
} as const;

function root(organization: keyof typeof roots): string {
  return `-----BEGIN CERTIFICATE-----\n${roots[organization]}\n-----END CERTIFICATE-----\n`;
}

function server(answers: Readonly<Record<string, object | number>>, date?: number): KubeClient {
  const raw: KubeClient["raw"] = async (_method, asked) => {
    const answer = answers[asked] ?? 404;
    const headers = date === undefined ? {} : { date: new Date(date).toUTCString() };
    return await Promise.resolve(
      typeof answer === "number"
        ? { status: answer, headers, text: JSON.stringify({ message: "no" }) }
        : { status: 200, headers, text: JSON.stringify(answer) },
    );
  };
  return { raw } as KubeClient;
}

const findings = async (pem: string, nowMs: number): Promise<string[]> =>
  (
    await authorityFindings(server({ [path]: { data: { "root-cert.pem": pem } } }), "istio-system", {
      nowMs: () => nowMs,
    })
  ).map(({ level, detail }) => `${level} ${detail}`);

test("each root of the mesh is described, and a warning comes a month before it expires", async () => {
  const pem = root("Old") + root("New");
  assert.deepEqual(await findings(pem, Date.UTC(2026, 1, 1)), [
    'ok the root "O=Old" is valid until 2026-06-01T00:00:00.000Z',
    'ok the root "O=New" is valid until 2026-06-01T00:00:00.000Z',
  ]);
  assert.deepEqual(await findings(root("Old"), Date.UTC(2026, 4, 22)), [
    'warning the root "O=Old" expires in 10 days, at 2026-06-01T00:00:00.000Z',
  ]);
  assert.deepEqual(await findings(root("Old"), toMs), [
    'warning the root "O=Old" expired at 2026-06-01T00:00:00.000Z: proxies refuse each other',
  ]);
  assert.deepEqual(await findings(root("Old"), Date.UTC(2025, 11, 31)), [
    'warning the root "O=Old" is not valid before 2026-01-01T00:00:00.000Z, and this machine\'s clock says 2025-12-31T00:00:00.000Z',
  ]);
});

test("an unreadable or missing root is reported, and a cluster without a mesh has no finding", async () => {
  assert.deepEqual(await findings("", fromMs), [
    "warning has no certificate in root-cert.pem: proxies trust no control plane",
  ]);
  const [broken] = await findings("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", fromMs);
  assert.match(broken ?? "", /^warning root-cert\.pem cannot be read: /);
  const clock = { nowMs: () => fromMs };
  assert.deepEqual(await authorityFindings(server({}), "istio-system", clock), []);
  const [unseen] = await authorityFindings(server({ [path]: 403 }), "istio-system", clock);
  assert.equal(unseen?.detail, "cannot be checked: no");
});

test("a clock that differs from the API server's by more than a minute is reported, for this machine and each ready node", async () => {
  const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
  const lease = (name: string, seconds: number): object => ({
    metadata: { name },
    spec: { renewTime: new Date(fromMs + seconds * 1000).toISOString().replace("Z", "000Z") },
  });
  const items = [lease("a", -12), lease("b", 3600), lease("c", -900), lease("off", -900)];
  const ready = new Set(["a", "b", "c"]);
  const found = async (client: KubeClient, ownMs: number): Promise<string[]> =>
    (await clockFindings(client, ready, { nowMs: () => ownMs })).map(
      ({ level, object, detail }) => `${level} ${object}: ${detail.split(":")[0] ?? ""}`,
    );
  assert.deepEqual(await found(server({ [leases]: { items } }, fromMs), fromMs + 70_000), [
    "warning This machine: its clock is 70 s ahead of the API server's",
    "warning Node b: its clock is 3600 s ahead of the API server's",
    "warning Node c: its clock is 900 s behind the API server's",
  ]);
  assert.deepEqual(await found(server({ [leases]: { items } }), fromMs + 70_000), []);
  assert.deepEqual(await found(server({ [leases]: 403 }, fromMs), fromMs), []);
});
