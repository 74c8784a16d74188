import assert from "node:assert/strict";
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { createCertificateRequest } from "./certificate-request.ts";
import { CertificateManager } from "./certificate-manager.ts";
import { children, content, unpem } from "./der.ts";
import { FakeCertificateAuthority } from "./fake-certificate-authority.ts";
import { workloadCertificate } from "./workload-certificate.ts";

const identity = "spiffe://cluster.local/ns/default/sa/sleep";

test("a request is signed by the key that it carries, and names the identity alone", async () => {
  const { csrPem } = await createCertificateRequest(identity);
  const [info = assert.fail(), , signature] = children(unpem(csrPem));
  const [, subject, spki, attributes] = children(info);
  const key = createPublicKey({ key: spki ?? assert.fail(), format: "der", type: "spki" });
  assert.equal(verify("sha256", info, key, content(signature ?? assert.fail()).subarray(1)), true);
  assert.equal(subject?.length, 2);
  assert.ok(attributes?.includes(identity));
});

test("the fake CA's leaf chains to its root, and a leaf for somebody else is refused", async () => {
  const authority = new FakeCertificateAuthority();
  const { csrPem, privateKeyPem } = await createCertificateRequest(identity);
  const chain = await authority.sign({ identity, csrPem, validitySeconds: 3600 });
  const [leaf, root] = chain.map((text) => new X509Certificate(text));
  assert.equal(leaf?.verify(root?.publicKey ?? assert.fail()), true);
  assert.equal(root?.ca, true);
  assert.equal(leaf?.subjectAltName, `URI:${identity}`);
  assert.equal(workloadCertificate(identity, privateKeyPem, chain).rootsPem, authority.rootPem);
  assert.throws(() => workloadCertificate(`${identity}2`, privateKeyPem, chain), /where spiffe:.*sleep2 was asked/);
});

test("concurrent fetches share one request, failures are repeated, and half of the lifetime rotates", async () => {
  const fake = new FakeCertificateAuthority();
  const asked: number[] = [];
  const slept: number[] = [];
  let wake: () => void = () => undefined;
  const clock = {
    ...systemClock,
    sleep: async (ms: number) => {
      slept.push(ms);
      if (ms > 20_000) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
  const manager = new CertificateManager({
    authority: {
      sign: (request) => {
        asked.push(request.validitySeconds);
        return asked.length === 1 ? Promise.reject(new Error("not yet")) : fake.sign(request);
      },
    },
    log: silentLogger,
    validitySeconds: 3600,
    clock,
    random: () => 0.5,
  });
  const [first, second] = await Promise.all([manager.fetch(identity), manager.fetch(identity)]);
  assert.equal(first, second);
  assert.equal(asked.length, 2);
  assert.equal(slept[0], 100);
  assert.ok(Math.abs((slept[1] ?? 0) - 1_740_000) < 10_000, `rotates after ${slept[1]} ms`);
  wake();
  while (manager.peek(identity) === first) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked.length, 3);
  const never = new AbortController();
  const waiting = manager.fetch(`${identity}-x`, never.signal);
  manager.forget(`${identity}-x`);
  await assert.rejects(waiting, /no longer needed/);
  manager.close();
});
