import "reflect-metadata";
import assert from "node:assert/strict";
import { X509Certificate, webcrypto } from "node:crypto";
import { test } from "node:test";
import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import { authorityStageAnnotation } from "../../api/serin/index.ts";
import { createLogger, silentLogger, systemClock, type Clock } from "../../base/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { loadAuthority, type AuthoritySecretOptions } from "./authority-secret.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { splitPem } from "./root-bundle.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as ParsedCertificate,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { keyPem, makeAuthority, revocationList, type TestAuthority } from "./testing/authorities.ts";
import { Pkcs10CertificateRequestGenerator } from "./testing/csr.ts";

const dayMs = 86_400_000;
const namespace = "istio-system";
const at = (aheadMs: number): Clock => ({ ...systemClock, nowMs: () => Date.now() + aheadMs });
const options = (client: FakeKubeClient, more: Partial<AuthoritySecretOptions> = {}): AuthoritySecretOptions => ({
  client,
  namespace,
  trustDomain: "cluster.local",
  clock: systemClock,
  log: silentLogger,
  ...more,
});

function put(client: FakeKubeClient, name: string, data: Record<string, string>, type?: string): void {
  const encoded = Object.fromEntries(
    Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
  client.put(secretKind, {
    metadata: { name, namespace },
    ...(type === undefined ? {} : { type }),
    data: encoded,
  } as Secret);
}

const splitLists = (text = ""): readonly string[] => text.split("-----").map((part) => part.trim());

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
async function issue(authority: CertificateAuthority): Promise<readonly X509Certificate[]> {
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
  const csr = (await Pkcs10CertificateRequestGenerator.create({ name: "O=x", keys, signingAlgorithm: ecdsa })).toString(
    "pem",
  );
  return (await authority.signWorkload(csr, "spiffe://cluster.local/ns/a/sa/b", 3600)).chain.map(
    (pem) => new X509Certificate(pem),
  );
}

async function chainOf(
  kind: "rsa" | "ec",
): Promise<readonly [root: TestAuthority, first: TestAuthority, second: TestAuthority, signer: TestAuthority]> {
  const root = await makeAuthority({ name: "root", kind });
  const first = await makeAuthority({ name: "first", issuer: root });
  const second = await makeAuthority({ name: "second", issuer: first, kind });
  return [root, first, second, await makeAuthority({ name: "signer", issuer: second, kind })];
}

for (const [kind, format] of [
  ["rsa", "pkcs1"],
  ["rsa", "pkcs8"],
  ["ec", "sec1"],
  ["ec", "pkcs8"],
] as const) {
  test(`a plugged-in authority of four levels with a key ${kind} as ${format} signs, and sends all intermediates along`, async () => {
    const [root, first, second, signer] = await chainOf(kind);
    const other = await makeAuthority({ name: "another root" });
    const client = new FakeKubeClient();
    const chain = [signer, second, first, root].map(({ certificate }) => certificate).join("");
    put(client, "cacerts", {
      "ca-cert.pem": signer.certificate,
      "ca-key.pem": keyPem(signer.key, format),
      "cert-chain.pem": chain,
      "root-cert.pem": other.certificate + root.certificate,
    });
    const { material } = await loadAuthority(options(client));
    const authority = await CertificateAuthority.load(material, systemClock);
    const issued = await issue(authority);
    assert.deepEqual(
      issued.map(({ subject }) => subject),
      [undefined, "O=signer", "O=second", "O=first", "O=root"].map((name) => name),
    );
    for (const [index, certificate] of issued.slice(0, -1).entries())
      assert.ok(certificate.verify((issued[index + 1] ?? certificate).publicKey), `${index}`);
    assert.equal(authority.rootFingerprints.length, 2);
    assert.ok(authority.hasChain);
  });
}

test("a secret of the type kubernetes.io/tls is an authority too", async () => {
  const root = await makeAuthority({ name: "root" });
  const signer = await makeAuthority({ name: "signer", issuer: root });
  const client = new FakeKubeClient();
  put(
    client,
    "cacerts",
    { "tls.crt": signer.certificate, "tls.key": keyPem(signer.key), "ca.crt": root.certificate },
    "kubernetes.io/tls",
  );
  const authority = await CertificateAuthority.load((await loadAuthority(options(client))).material, systemClock);
  assert.equal(authority.root, root.certificate);
  assert.equal((await issue(authority)).length, 3);
});

test("an authority that could not sign, or that nobody would trust, is refused with the secret's name and the reason", async () => {
  const root = await makeAuthority({ name: "root" });
  const stranger = await makeAuthority({ name: "stranger" });
  const signer = await makeAuthority({ name: "signer", issuer: root });
  const leaf = await makeAuthority({ name: "leaf", issuer: root, isAuthority: false });
  const old = await makeAuthority({
    name: "old",
    issuer: root,
    fromMs: Date.now() - 2 * dayMs,
    toMs: Date.now() - dayMs,
  });
  const short = await makeAuthority({ name: "short", pathLength: 1 });
  const middle = await makeAuthority({ name: "middle", issuer: short });
  const deep = await makeAuthority({ name: "deep", issuer: middle });
  const good = {
    "ca-cert.pem": signer.certificate,
    "ca-key.pem": keyPem(signer.key),
    "root-cert.pem": root.certificate,
    "cert-chain.pem": "",
  };
  const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
    [
      { ...good, "ca-key.pem": keyPem(stranger.key) },
      /istio-system\/cacerts: ca-key\.pem is not the key of ca-cert\.pem/,
    ],
    [{ ...good, "root-cert.pem": stranger.certificate }, /issued the certificate of "O=signer" \(issuer "O=root"\)/],
    [{ ...good, "root-cert.pem": "" }, /it lacks root-cert\.pem/],
    [{ "root-cert.pem": root.certificate }, /it lacks ca-cert\.pem, ca-key\.pem/],
    [{ ...good, "ca-cert.pem": leaf.certificate, "ca-key.pem": keyPem(leaf.key) }, /is not a CA certificate/],
    [
      {
        "ca-cert.pem": deep.certificate,
        "ca-key.pem": keyPem(deep.key),
        "cert-chain.pem": deep.certificate + middle.certificate,
        "root-cert.pem": short.certificate,
      },
      /"O=short" in root-cert\.pem allows 1 authorities below it, but there are 2/,
    ],
    [{ ...good, "ca-cert.pem": old.certificate, "ca-key.pem": keyPem(old.key) }, /"O=old" expired/],
    [{ ...good, "ca-key.pem": "nonsense" }, /private key cannot be read/],
    [{ ...good, "ca-crl.pem": "nonsense" }, /no revocation list in PEM/],
    [
      {
        ...good,
        "cert-chain.pem": signer.certificate,
        "ca-crl.pem": "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----",
      },
      /something that is not a revocation list/,
    ],
  ];
  for (const [data, expected] of cases) {
    const client = new FakeKubeClient();
    put(client, "cacerts", data);
    await assert.rejects(loadAuthority(options(client)), expected);
  }
  const client = new FakeKubeClient();
  put(client, "cacerts", {
    "ca-cert.pem": middle.certificate,
    "ca-key.pem": keyPem(middle.key),
    "cert-chain.pem": middle.certificate,
    "root-cert.pem": short.certificate,
  });
  assert.equal((await loadAuthority(options(client))).stage, "none", "one authority below is allowed");
});

test("a root of X.509 version 1 is accepted with a warning, and an intermediate of version 1 is refused", async () => {
  const root = await makeAuthority({ name: "old root", version: 1 });
  const signer = await makeAuthority({ name: "signer", issuer: root });
  const client = new FakeKubeClient();
  const doubts: string[] = [];
  const log = createLogger({ scope: "test", level: "warn", write: (line) => void doubts.push(line) });
  put(client, "cacerts", {
    "ca-cert.pem": signer.certificate,
    "ca-key.pem": keyPem(signer.key),
    "root-cert.pem": root.certificate,
    "cert-chain.pem": "",
  });
  const authority = await CertificateAuthority.load(
    (await loadAuthority(options(client, { log }))).material,
    systemClock,
  );
  const [, issuer, top] = await issue(authority);
  assert.ok(issuer?.checkIssued(top ?? issuer));
  assert.match(doubts.join(""), /the root \\"O=old root\\" is an X\.509 version 1 certificate/);
  const real = await makeAuthority({ name: "real" });
  const middle = await makeAuthority({ name: "middle", issuer: real, version: 1 });
  const low = await makeAuthority({ name: "low", issuer: middle });
  put(client, "cacerts", {
    "ca-cert.pem": low.certificate,
    "ca-key.pem": keyPem(low.key),
    "root-cert.pem": real.certificate,
    "cert-chain.pem": middle.certificate,
  });
  await assert.rejects(loadAuthority(options(client)), /"O=middle" in cert-chain\.pem is not a CA certificate/);
});

test("revocation lists are accepted if every authority of the chain has one", async () => {
  const root = await makeAuthority({ name: "root", kind: "rsa" });
  const signer = await makeAuthority({ name: "signer", issuer: root });
  const lists = [await revocationList(root), await revocationList(signer)];
  const data = {
    "ca-cert.pem": signer.certificate,
    "ca-key.pem": keyPem(signer.key),
    "root-cert.pem": root.certificate,
    "cert-chain.pem": signer.certificate + root.certificate,
  };
  const client = new FakeKubeClient();
  put(client, "cacerts", { ...data, "ca-crl.pem": lists.join("") });
  assert.equal(
    (await CertificateAuthority.load((await loadAuthority(options(client))).material, systemClock)).crl,
    lists.join(""),
  );
  put(client, "cacerts", { ...data, "ca-crl.pem": lists[1] ?? "" });
  await assert.rejects(loadAuthority(options(client)), /ca-crl\.pem has no revocation list of "O=root"/);
});

test("the revocation lists in force are not read again while they and the chain stay the same", async () => {
  const root = await makeAuthority({ name: "root" });
  const client = new FakeKubeClient();
  const data = { "ca-cert.pem": root.certificate, "ca-key.pem": keyPem(root.key), "root-cert.pem": root.certificate };
  put(client, "cacerts", { ...data, "ca-crl.pem": await revocationList(root) });
  const { stage, current } = await loadAuthority(options(client));
  // Reading this text would throw, because it is not a list. So the test fails if a list in force is read again.
  const known = { ...current, crl: "unread" };
  put(client, "cacerts", { ...data, "ca-crl.pem": "unread" });
  const state = { stage, material: known, current: known };
  assert.equal((await loadAuthority(options(client), state)).material.crl, "unread");
  put(client, "cacerts", { ...data, "cert-chain.pem": root.certificate, "ca-crl.pem": "unread" });
  await assert.rejects(loadAuthority(options(client), state), /ca-crl\.pem has no revocation list in PEM/);
});

test("a broken revocation list among complete ones warns at the start, and changes nothing in a running control plane", async () => {
  const root = await makeAuthority({ name: "root" });
  const [whole, newer] = [await revocationList(root), await revocationList(root)];
  const cut = newer.slice(0, newer.length / 2);
  const authority = {
    "ca-cert.pem": root.certificate,
    "ca-key.pem": keyPem(root.key),
    "root-cert.pem": root.certificate,
  };
  const client = new FakeKubeClient();
  const warnings: string[] = [];
  const log = createLogger({ scope: "test", write: (line) => void warnings.push(line) });
  put(client, "cacerts", { ...authority, "ca-crl.pem": whole + cut });
  const started = await loadAuthority(options(client, { log }));
  assert.deepEqual(splitLists(started.material.crl), splitLists(whole));
  assert.match(warnings.join(""), /some revocation lists cannot be used.*1 of 2 are not complete PEM/);
  const again = await loadAuthority(options(client, { log }), started);
  assert.deepEqual([again, warnings.length], [started, 1]);
  put(client, "cacerts", { ...authority, "ca-crl.pem": newer + cut });
  await assert.rejects(
    loadAuthority(options(client), started),
    /the secret istio-system\/cacerts: ca-crl\.pem: .*1 of 2 are not complete PEM/,
  );
  put(client, "cacerts", { ...authority, "ca-crl.pem": cut });
  await assert.rejects(loadAuthority(options(client)), /ca-crl\.pem has no revocation list in PEM/);
});

test("a self-signed root is renewed with the same key in the last fifth of its life, once for all replicas, and both verify each other's certificates", async () => {
  const client = new FakeKubeClient();
  const selfSigned = { lifetimeMs: 100 * dayMs, rsaKeyBits: 2048, gracePercent: 20, inCacerts: false };
  const before = (await loadAuthority(options(client, { selfSigned }))).material;
  assert.deepEqual((await loadAuthority(options(client, { selfSigned, clock: at(79 * dayMs) }))).material, before);
  const never = { ...selfSigned, gracePercent: undefined };
  assert.deepEqual(
    (await loadAuthority(options(client, { selfSigned: never, clock: at(81 * dayMs) }))).material,
    before,
  );
  const [after, replica] = await Promise.all(
    [1, 2].map(async () => (await loadAuthority(options(client, { selfSigned, clock: at(81 * dayMs) }))).material),
  );
  assert.deepEqual(after, replica);
  assert.ok(after !== undefined && after.certificate !== before.certificate);
  assert.equal(after.privateKey, before.privateKey);
  const [old, renewed] = [new X509Certificate(before.certificate), new X509Certificate(after.certificate)];
  assert.equal(renewed.subject, "O=cluster.local");
  assert.ok(renewed.validToDate.getTime() > old.validToDate.getTime() + 80 * dayMs);
  const [leaf] = await issue(await CertificateAuthority.load(after, systemClock));
  assert.ok(leaf?.verify(old.publicKey) === true && leaf.checkIssued(old) && leaf.checkIssued(renewed));
});

test("a renewed root keeps its whole name, its key's identifier and its constraints, and the other roots stay", async () => {
  const client = new FakeKubeClient();
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
  const clock = systemClock;
  const extensions = [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    new SubjectKeyIdentifierExtension("0a0b0c"),
  ];
  const made = await X509CertificateGenerator.createSelfSigned({
    name: [{ C: ["CH"] }, { O: ["Mesh, of mine"] }, { CN: ["root"] }],
    keys,
    notBefore: new Date(clock.nowMs() - 95 * dayMs),
    notAfter: new Date(clock.nowMs() + 5 * dayMs),
    signingAlgorithm: ecdsa,
    extensions,
  });
  const certificate = `${made.toString("pem")}\n`;
  const other = await makeAuthority({ name: "other" });
  const privateKey = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  put(client, "istio-ca-secret", {
    "ca-cert.pem": certificate,
    "ca-key.pem": `-----BEGIN PRIVATE KEY-----\n${privateKey}\n-----END PRIVATE KEY-----\n`,
    "root-cert.pem": certificate + other.certificate,
  });
  const { material } = await loadAuthority(options(client));
  const renewed = new ParsedCertificate(material.certificate);
  assert.notEqual(material.certificate, certificate);
  assert.deepEqual(Buffer.from(renewed.subjectName.toArrayBuffer()), Buffer.from(made.subjectName.toArrayBuffer()));
  assert.deepEqual(
    renewed.extensions.map(({ rawData }) => Buffer.from(rawData)),
    made.extensions.map(({ rawData }) => Buffer.from(rawData)),
  );
  assert.deepEqual(splitPem(material.root), [`${material.certificate.trim()}\n`, other.certificate]);
  const [leaf] = await issue(await CertificateAuthority.load(material, clock));
  assert.ok(
    leaf?.checkIssued(new X509Certificate(certificate)) === true &&
      leaf.verify(new X509Certificate(certificate).publicKey),
  );
});

test("a root that another control plane renewed is used, even if the secret's root-cert.pem is still the former one", async () => {
  const client = new FakeKubeClient();
  const first = (await loadAuthority(options(client))).material;
  const clock = at(3000 * dayMs);
  const renewed = (await loadAuthority(options(client, { clock }))).material;
  put(client, "istio-ca-secret", {
    "ca-cert.pem": renewed.certificate,
    "ca-key.pem": renewed.privateKey,
    "root-cert.pem": first.root,
    "cert-chain.pem": "",
  });
  assert.equal((await loadAuthority(options(client, { clock }))).material.root.trim(), renewed.certificate.trim());
});

test("a self-signed root can be stored in cacerts, and is not mistaken for a user's authority there", async () => {
  const client = new FakeKubeClient();
  const selfSigned = { lifetimeMs: 100 * dayMs, rsaKeyBits: 2048, gracePercent: 20, inCacerts: true };
  const made = (await loadAuthority(options(client, { selfSigned }))).material;
  assert.ok((await client.get(secretKind, "cacerts", namespace))?.data?.["istio-generated"] !== undefined);
  assert.equal(await client.get(secretKind, "istio-ca-secret", namespace), undefined);
  const renewed = (await loadAuthority(options(client, { selfSigned, clock: at(90 * dayMs) }))).material;
  assert.ok(renewed.certificate !== made.certificate && renewed.privateKey === made.privateKey);
});

test("a generated root in cacerts stays marked when another generated root replaces it, but not when a user's own root does", async () => {
  const selfSigned = { lifetimeMs: 100 * dayMs, rsaKeyBits: 2048, gracePercent: 20, inCacerts: true };
  const isMarked = async (next: Record<string, string>): Promise<boolean> => {
    const client = new FakeKubeClient();
    await loadAuthority(options(client, { selfSigned }));
    put(client, "istio-ca-next", next);
    const coming = await client.get(secretKind, "istio-ca-next", namespace);
    client.put(secretKind, {
      ...coming,
      metadata: { ...coming?.metadata, annotations: { [authorityStageAnnotation]: "done" } },
    });
    await loadAuthority(options(client, { selfSigned }));
    assert.equal(await client.get(secretKind, "istio-ca-next", namespace), undefined);
    return (await client.get(secretKind, "cacerts", namespace))?.data?.["istio-generated"] !== undefined;
  };
  assert.equal(await isMarked({}), true);
  const root = await makeAuthority({ name: "root" });
  const signer = await makeAuthority({ name: "signer", issuer: root });
  assert.equal(
    await isMarked({
      "ca-cert.pem": signer.certificate,
      "ca-key.pem": keyPem(signer.key),
      "cert-chain.pem": signer.certificate,
      "root-cert.pem": root.certificate,
    }),
    false,
  );
});
