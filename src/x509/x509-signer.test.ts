import "reflect-metadata";
import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto";
import { test } from "node:test";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as IndependentCertificate,
} from "@peculiar/x509";
import {
  authorityKeyIdentifier,
  basicConstraints,
  type CertificateContent,
  derOfPem,
  distinguishedName,
  extendedKeyUsage,
  keyIdentifierOf,
  keyUsage,
  readCertificate,
  readIssuer,
  readPathLength,
  readVersion,
  subjectAltName,
  subjectKeyIdentifier,
  X509Signer,
} from "./index.ts";

const fromMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const toMs = Date.UTC(2051, 0, 2, 3, 4, 5);

function content(publicKey: KeyObject, extensions: readonly Buffer[]): CertificateContent {
  const name = distinguishedName({ organizations: ["Größe", "b"], commonName: "c" });
  const key = publicKey.export({ type: "spki", format: "der" });
  return { issuer: name, subject: name, publicKey: key, notBeforeMs: fromMs, notAfterMs: toMs, extensions };
}

test("another implementation reads each field of a certificate as intended", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const identifier = keyIdentifierOf(publicKey);
  const pem = new X509Signer(privateKey).certificate(
    content(publicKey, [
      keyUsage("digitalSignature", "keyEncipherment", "keyCertSign", "crlSign"),
      extendedKeyUsage("server", "client"),
      basicConstraints("authority", 3),
      subjectKeyIdentifier(identifier),
      authorityKeyIdentifier(identifier),
      subjectAltName([{ uri: "spiffe://a/ns/b/sa/c" }, { dns: "d.e" }, { ip: "192.0.2.7" }, { ip: "2001:db8::1:0" }], {
        critical: true,
      }),
    ]),
  );
  const read = new IndependentCertificate(pem);
  assert.equal(read.subject, "O=Größe, O=b, CN=c");
  assert.deepEqual([read.notBefore.getTime(), read.notAfter.getTime()], [fromMs, toMs]);
  assert.match(read.serialNumber, /^[4-7][0-9a-f]{31}$/);
  const usage = read.getExtension(KeyUsagesExtension);
  const { digitalSignature, keyEncipherment, keyCertSign, cRLSign } = KeyUsageFlags;
  assert.deepEqual(
    [usage?.usages, usage?.critical],
    [digitalSignature | keyEncipherment | keyCertSign | cRLSign, true],
  );
  const extended = read.getExtension(ExtendedKeyUsageExtension);
  assert.deepEqual(
    [[...(extended?.usages ?? [])], extended?.critical],
    [["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"], false],
  );
  const constraints = read.getExtension(BasicConstraintsExtension);
  assert.deepEqual([constraints?.ca, constraints?.pathLength, constraints?.critical], [true, 3, true]);
  const hex = identifier.toString("hex");
  assert.equal(read.getExtension(SubjectKeyIdentifierExtension)?.keyId, hex);
  assert.equal(read.getExtension(AuthorityKeyIdentifierExtension)?.keyId, hex);
  assert.equal(read.getExtension(SubjectAlternativeNameExtension)?.critical, true);
  const ours = new X509Certificate(pem);
  assert.equal(
    ours.subjectAltName,
    "URI:spiffe://a/ns/b/sa/c, DNS:d.e, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:1:0",
  );
  const { subject, keyIdentifier } = readIssuer(ours.raw);
  assert.deepEqual(
    [subject, keyIdentifier],
    [distinguishedName({ organizations: ["Größe", "b"], commonName: "c" }), identifier],
  );
  assert.deepEqual([readPathLength(ours.raw), readVersion(ours.raw)], [3, 3]);
  assert.equal(readCertificate(ours.raw).serialNumber.toString("hex"), read.serialNumber);
});

test("another implementation verifies certificates and requests of each kind of key, and serial numbers differ", async () => {
  for (const { privateKey, publicKey } of [
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
    generateKeyPairSync("ec", { namedCurve: "P-256" }),
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("ec", { namedCurve: "P-521" }),
    generateKeyPairSync("ed25519"),
  ]) {
    const signer = new X509Signer(privateKey);
    const made = [signer.certificate(content(publicKey, [])), await signer.certificateInPool(content(publicKey, []))];
    const [first, second] = made.map((pem) => new X509Certificate(pem));
    assert.ok(first?.verify(publicKey) === true && second?.verify(publicKey) === true);
    assert.equal(first.checkIssued(second), true);
    assert.notEqual(first.serialNumber, second.serialNumber);
    const request = signer.request(publicKey.export({ type: "spki", format: "der" }), [{ uri: "spiffe://a" }]);
    const read = new Pkcs10CertificateRequest(derOfPem(request, /^CERTIFICATE REQUEST$/) ?? assert.fail());
    assert.equal(read.subject, "");
    const names = read.getExtension("2.5.29.17");
    assert.ok(names?.critical === true && Buffer.from(names.value).includes("spiffe://a"));
    if (privateKey.asymmetricKeyType !== "rsa") assert.equal(await read.verify(), true);
  }
});
