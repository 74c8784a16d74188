import assert from "node:assert/strict";
import { createPrivateKey, webcrypto, X509Certificate as NodeCertificate } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { CertificateAuthority, createSelfSignedAuthority } from "./certificate-authority.ts";
import type { Caller } from "./authenticator.ts";
import { CertificateService, type PodDirectory } from "./certificate-service.ts";
import { Pkcs10CertificateRequestGenerator } from "./testing/csr.ts";

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

async function csr(): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
  return (
    await Pkcs10CertificateRequestGenerator.create({ name: "O=anything", keys, signingAlgorithm: ecdsa })
  ).toString("pem");
}

const material = await createSelfSignedAuthority("cluster.local", systemClock);
const authority = await CertificateAuthority.load(material, systemClock);
const service = new CertificateService({
  authority: () => authority,
  trustDomain: () => "cluster.local",
  trustedNodeAccounts: new Set(["istio-system/ztunnel"]),
  pods: (cluster) => (cluster === "Kubernetes" ? directory : undefined),
});
const directory: PodDirectory = {
  podOf: (_namespace, pod) =>
    pod === "ztunnel-1" ? { uid: "uid-1", serviceAccount: "ztunnel", node: "node-1" } : undefined,
  runsOn: (namespace, account, node) => `${namespace}/${account}@${node}` === "shop/web@node-1",
};
const web: Caller = {
  namespace: "shop",
  serviceAccount: "web",
  pod: "web-1",
  podUid: "uid-2",
  clusterId: "Kubernetes",
};
const ztunnel: Caller = {
  namespace: "istio-system",
  serviceAccount: "ztunnel",
  pod: "ztunnel-1",
  podUid: "uid-1",
  clusterId: "Kubernetes",
};

test("a certificate carries the caller's identity, whatever the request says, and verifies up to the root", async () => {
  const issued = await service.create(
    { csr: await csr(), ttlSeconds: 0, impersonatedIdentity: "" },
    { ...web, pod: "", podUid: "" },
  );
  const leaf = new NodeCertificate(issued.chain[0] ?? "");
  const root = new NodeCertificate(issued.chain.at(-1) ?? "");
  assert.equal(leaf.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/web");
  assert.ok(leaf.verify(root.publicKey) && leaf.checkIssued(root) && root.verify(root.publicKey));
  assert.equal(leaf.ca, false);
  const hours = (Date.parse(leaf.validTo) - Date.now()) / 3_600_000;
  assert.ok(hours > 23.9 && hours <= 24.1, `valid for ${hours} hours`);
});

test("a node proxy gets identities of pods on its node, and no other caller may impersonate", async () => {
  const request = { csr: await csr(), ttlSeconds: 0, impersonatedIdentity: "spiffe://cluster.local/ns/shop/sa/web" };
  const issued = await service.create(request, ztunnel);
  assert.equal(new NodeCertificate(issued.chain[0] ?? "").subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/web");
  await assert.rejects(service.create(request, web), /may not ask for another's/);
  await assert.rejects(
    service.create({ ...request, impersonatedIdentity: "spiffe://cluster.local/ns/shop/sa/db" }, ztunnel),
    /no pod of shop\/db/,
  );
  await assert.rejects(service.create(request, { ...ztunnel, pod: "" }), /is not known/);
  await assert.rejects(service.create(request, { ...ztunnel, podUid: "uid-0" }), /belongs to an earlier pod/);
  await assert.rejects(
    service.create(request, { ...ztunnel, clusterId: "west" }),
    /pods of the cluster "west" are not known/,
  );
});

test("an authority with a key in istiod's older PKCS #1 format is adopted", async () => {
  const pkcs1 = createPrivateKey(material.privateKey).export({ type: "pkcs1", format: "pem" }).toString();
  const adopted = await CertificateAuthority.load({ ...material, privateKey: pkcs1 }, systemClock);
  const serving = await adopted.issueServing(["istiod.istio-system.svc"], 3_600_000);
  assert.equal(new NodeCertificate(serving.certificate).subjectAltName, "DNS:istiod.istio-system.svc");
  assert.ok(serving.privateKey.includes("PRIVATE KEY"));
});

test("a request that its own key has not signed is refused", async () => {
  await assert.rejects(
    service.create({ csr: "nonsense", ttlSeconds: 0, impersonatedIdentity: "" }, web),
    /cannot be read/,
  );
});

test("lifetimes follow the settings: the default if none is requested, and an error above the maximum", async () => {
  const short = new CertificateService({
    authority: () => authority,
    trustDomain: () => "cluster.local",
    trustedNodeAccounts: new Set(),
    pods: () => undefined,
    lifetimes: { defaultSeconds: 600, maxSeconds: 1200 },
  });
  const secondsOf = async (ttlSeconds: number): Promise<number> =>
    ((await short.create({ csr: await csr(), ttlSeconds, impersonatedIdentity: "" }, web)).notAfterMs - Date.now()) /
    1000;
  assert.ok(Math.abs((await secondsOf(0)) - 600) < 30);
  assert.ok(Math.abs((await secondsOf(-5)) - 600) < 30);
  assert.ok(Math.abs((await secondsOf(1200)) - 1200) < 30);
  await assert.rejects(secondsOf(1201), /at most 1200 seconds, got 1201/);
});

test("a request for another signer is refused with the signer's name", async () => {
  await assert.rejects(
    service.create(
      {
        csr: await csr(),
        ttlSeconds: 0,
        impersonatedIdentity: "",
        certificateSigner: "clusterissuers.cert-manager.io/x",
      },
      web,
    ),
    /CertSigner "clusterissuers\.cert-manager\.io\/x" is not supported/,
  );
});
