import "reflect-metadata";
import assert from "node:assert/strict";
import { generateKeyPairSync, webcrypto, X509Certificate, type KeyObject } from "node:crypto";
import { test } from "node:test";
import { X509Certificate as IndependentCertificate, X509CrlGenerator } from "@peculiar/x509";
import {
  basicConstraints,
  completeLists,
  distinguishedName,
  peerChain,
  RevokedCertificates,
  X509Signer,
} from "./index.ts";

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;

class Authority {
  readonly name: string;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;

  constructor(name: string, issuer?: Authority) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.name = name;
    this.key = privateKey;
    const above = issuer ?? this;
    this.certificate = above.#sign(name, publicKey, [basicConstraints("authority")]);
  }

  leaf(): X509Certificate {
    return this.#sign("leaf", generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey, []);
  }

  async revoke(...revoked: readonly X509Certificate[]): Promise<string> {
    const der = this.key.export({ type: "pkcs8", format: "der" });
    const list = await X509CrlGenerator.create({
      issuer: new IndependentCertificate(this.certificate.raw).subjectName,
      thisUpdate: new Date(),
      entries: revoked.map(({ serialNumber }) => ({ serialNumber })),
      signingAlgorithm: ecdsa,
      signingKey: await webcrypto.subtle.importKey("pkcs8", der, ecdsa, false, ["sign"]),
    });
    return `${list.toString("pem").replaceAll(/(BEGIN|END) CRL/g, "$1 X509 CRL")}\n`;
  }

  #sign(name: string, key: KeyObject, extensions: readonly Buffer[]): X509Certificate {
    const nowMs = Date.now();
    const pem = new X509Signer(this.key).certificate({
      issuer: distinguishedName({ organizations: [this.name] }),
      subject: distinguishedName({ organizations: [name] }),
      publicKey: key.export({ type: "spki", format: "der" }),
      notBeforeMs: nowMs - hourMs,
      notAfterMs: nowMs + hourMs,
      extensions,
    });
    return new X509Certificate(pem);
  }
}

/** A certificate as node:tls returns it if the peer sends the others after it: each links to the next. */
function shown(leaf: X509Certificate, ...others: readonly X509Certificate[]): X509Certificate {
  const [next, ...rest] = others;
  const copy = new X509Certificate(leaf.raw);
  Object.defineProperty(copy, "issuerCertificate", { value: next === undefined ? undefined : shown(next, ...rest) });
  return copy;
}

const root = new Authority("root");
const middle = new Authority("middle", root);
const leaf = middle.leaf();
const roots = [root.certificate];

test("a chain is found in any order of the certificates that a peer sends, also among unrelated ones", () => {
  const other = new Authority("other");
  for (const sent of [
    [middle.certificate],
    [leaf, middle.certificate],
    [other.certificate, middle.certificate, root.certificate],
    [root.certificate, middle.certificate],
  ]) {
    const chain = peerChain(shown(leaf, ...sent), roots);
    assert.deepEqual(
      chain?.links.map(({ certificate, issuer }) => `${certificate.subject} by ${issuer.subject}`),
      ["O=leaf by O=middle", "O=middle by O=root"],
    );
    assert.deepEqual(chain?.anchors, [roots]);
  }
});

test("a chain without a path to a root, or of more certificates than meshes have, is none", () => {
  assert.equal(peerChain(shown(leaf), roots), undefined);
  assert.equal(peerChain(shown(leaf, middle.certificate), [new Authority("root").certificate]), undefined);
  const many = (count: number) => [...Array.from({ length: count - 1 }, () => leaf), middle.certificate];
  assert.notEqual(peerChain(shown(leaf, ...many(16)), roots), undefined);
  assert.equal(peerChain(shown(leaf, ...many(17)), roots), undefined);
});

test("roots with one name and key are all anchors, so that the chain lasts as long as the last of them", () => {
  const again = new X509Certificate(root.certificate.raw);
  assert.equal(peerChain(shown(leaf, middle.certificate), [root.certificate, again])?.anchors[0]?.length, 2);
});

test("a certificate is refused if its issuer's list names it, and so is one below a revoked authority", async () => {
  const peer = shown(leaf, middle.certificate);
  const refusal = (text: string): string | undefined => new RevokedCertificates(Buffer.from(text)).refusal(peer, roots);
  assert.equal(refusal(""), undefined);
  assert.equal(refusal((await root.revoke()) + (await middle.revoke(middle.leaf()))), undefined);
  assert.match(refusal(await middle.revoke(leaf)) ?? "", /of "O=leaf" is revoked by "O=middle"/);
  assert.match(refusal(await root.revoke(middle.certificate)) ?? "", /of "O=middle" is revoked by "O=root"/);
  assert.match(
    refusal(await new Authority("middle").revoke(leaf)) ?? "",
    /the revocation list of "O=middle" is not signed by the issuer/,
  );
  const lists = new RevokedCertificates(Buffer.from(await root.revoke()));
  assert.match(lists.refusal(shown(leaf), roots) ?? "", /the issuers of its chain are not known/);
});

test("a list in DER equals one in PEM, and a text with anything incomplete is refused as a whole", async () => {
  const pem = await middle.revoke(leaf);
  const peer = shown(leaf, middle.certificate);
  const der = Buffer.from(pem.replaceAll(/-----.*-----/g, ""), "base64");
  assert.match(new RevokedCertificates(der).refusal(peer, roots) ?? "", /is revoked/);
  for (const [text, fault] of [
    ["-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", /list 1 is not an X509 CRL/],
    ["0\u0005\u0000", /the list is not an X509 CRL/],
    ["no list", /there is no X509 CRL in PEM or DER/],
    [pem.slice(0, 60), /1 of 1 are not complete PEM/],
    [pem + pem.slice(0, -30), /1 of 2 are not complete PEM/],
    [pem + pem.replace("\n", "\n-"), /1 of 2 are not complete PEM/],
  ] as const)
    assert.throws(() => new RevokedCertificates(Buffer.from(text)), fault, text);
  assert.deepEqual(completeLists(pem + pem.slice(0, -30)), [pem.trim()]);
});
