import assert from "node:assert/strict";
import { webcrypto, X509Certificate } from "node:crypto";
import { after, test } from "node:test";
import { secretKind } from "../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { CertificateAuthority, createSelfSignedAuthority } from "./ca/index.ts";
import { Pkcs10CertificateRequestGenerator } from "./ca/testing/csr.ts";
import { ControlPlaneIdentity } from "./serving-certificate.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";

const namespace = "istio-system";
const client = new FakeKubeClient();
const stopped = new AbortController();
const options = {
  client,
  namespace,
  domain: "cluster.local",
  trustDomain: "cluster.local",
  clock: systemClock,
  log: silentLogger,
};
const revisions = [
  await ControlPlaneIdentity.create({ ...options, serviceName: "istiod" }, stopped.signal),
  await ControlPlaneIdentity.create({ ...options, serviceName: "istiod-next" }, stopped.signal),
];
const running = revisions.map((identity) => identity.run(stopped.signal));
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

async function untilAll(holds: (identity: ControlPlaneIdentity) => boolean): Promise<void> {
  await until(() => revisions.every(holds));
}

/** Writes the stage as the rollout engine does, and waits for every revision. */
async function go(stage: "trust" | "issue" | "only"): Promise<void> {
  const next = await client.get(secretKind, "istio-ca-next", namespace);
  client.put(secretKind, {
    ...next,
    metadata: {
      ...next?.metadata,
      name: "istio-ca-next",
      namespace,
      annotations: { "rollout.serin.dev/ca-stage": stage },
    },
  });
  await untilAll((identity) => identity.stage === stage);
}

const roots = (): readonly (readonly string[])[] => revisions.map(({ authority }) => authority.rootFingerprints);

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
async function issuer(authority: CertificateAuthority): Promise<number> {
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
  const csr = (await Pkcs10CertificateRequestGenerator.create({ name: "O=x", keys, signingAlgorithm: ecdsa })).toString(
    "pem",
  );
  const { chain } = await authority.signWorkload(csr, "spiffe://cluster.local/ns/a/sa/b", 3600);
  const bundle = (chain.at(-1) ?? "").match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
  assert.deepEqual(
    bundle.map((pem) => new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase()),
    authority.rootFingerprints,
    "with a certificate come all roots, in one text",
  );
  const leaf = new X509Certificate(chain[0] ?? "");
  return bundle.findIndex((pem) => leaf.verify(new X509Certificate(pem).publicKey));
}

test("the root changes in stages that every revision follows: trust both, sign by the next, drop the old one, keep the new one", async () => {
  const [[old = ""] = []] = roots();
  await go("trust");
  const next = roots()[0]?.[1] ?? assert.fail("the next root is trusted");
  assert.deepEqual(roots(), [
    [old, next],
    [old, next],
  ]);
  await go("issue");
  assert.deepEqual(
    roots(),
    [
      [next, old],
      [next, old],
    ],
    "the one that signs stands first",
  );
  for (const { authority, serving } of revisions) {
    assert.equal(await issuer(authority), 0);
    assert.ok(new X509Certificate(serving.certificate).verify(new X509Certificate(authority.root).publicKey));
  }
  await go("trust");
  assert.deepEqual(
    roots(),
    [
      [old, next],
      [old, next],
    ],
    "and back",
  );
  await go("issue");
  await go("only");
  assert.deepEqual(roots(), [[next], [next]]);
  const before = await client.get(secretKind, "istio-ca-secret", namespace);
  client.put(secretKind, {
    ...(await client.get(secretKind, "istio-ca-next", namespace)),
    metadata: { name: "istio-ca-next", namespace, annotations: { "rollout.serin.dev/ca-stage": "done" } },
  });
  await untilAll((identity) => identity.stage === "none");
  assert.deepEqual(roots(), [[next], [next]]);
  assert.equal(await client.get(secretKind, "istio-ca-next", namespace), undefined);
  assert.deepEqual((await client.get(secretKind, "istio-ca-previous", namespace))?.data, before?.data);
});

test("a cancelled root change restores the roots, and an unknown stage changes nothing", async () => {
  const before = roots();
  await go("trust");
  client.put(secretKind, {
    ...(await client.get(secretKind, "istio-ca-next", namespace)),
    metadata: { name: "istio-ca-next", namespace, annotations: { "rollout.serin.dev/ca-stage": "isue" } },
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(revisions[0]?.stage, "trust");
  await client.delete(secretKind, "istio-ca-next", namespace);
  await untilAll((identity) => identity.stage === "none");
  assert.deepEqual(roots(), before);
});

test("the signing root is listed first among several plugged-in roots, and an intermediate is sent along", async () => {
  const [mine, other] = [
    await createSelfSignedAuthority("mine", systemClock),
    await createSelfSignedAuthority("other", systemClock),
  ];
  const authority = await CertificateAuthority.load({ ...mine, root: `${other.root}\n${mine.root}` }, systemClock);
  const alone = await CertificateAuthority.load(mine, systemClock);
  assert.equal(authority.rootFingerprints[0], alone.rootFingerprints[0]);
  assert.equal(authority.rootFingerprints.length, 2);
  assert.equal(alone.root, mine.root, "a single root is reported unchanged");
});
