import assert from "node:assert/strict";
import { test } from "node:test";
import { CertificateManager, FakeCertificateAuthority, ReceivedCertificates } from "../../dataplane/index.ts";
import { silentLogger } from "../../base/index.ts";
import { RequestedCertificates } from "./requested-certificates.ts";

const identity = "spiffe://cluster.local/ns/default/sa/a";

test("a certificate that a worker lacks is requested when it is needed, and used when it arrives", async () => {
  const requestedNames: string[] = [];
  const received = new ReceivedCertificates(() => Date.now());
  const certificates = new RequestedCertificates(received, {
    need: (name) => Promise.resolve(void requestedNames.push(name)),
    trouble: () => Promise.resolve(undefined),
  });
  assert.equal(certificates.peek(identity), undefined);
  const fetching = certificates.fetch(identity);
  assert.deepEqual(requestedNames, [identity]);
  const manager = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
  const certificate = await manager.fetch(identity);
  manager.close();
  received.receive(certificate);
  assert.equal(await fetching, certificate);
  assert.equal(await certificates.fetch(identity), certificate);
  assert.deepEqual(requestedNames, [identity], "one that is there is not asked for");
  received.forget(identity);
  assert.equal(certificates.peek(identity), undefined);
});

test("the error for a missing certificate has the CA's answer", async () => {
  const certificates = new RequestedCertificates(new ReceivedCertificates(() => Date.now()), {
    need: () => Promise.reject(new Error("refused")),
    trouble: () => Promise.resolve("the CA said no"),
  });
  await assert.rejects(certificates.fetch(identity, AbortSignal.timeout(10)), {
    code: "certificate-wait",
    message: `no certificate for ${identity} in time: the CA said no`,
  });
});
