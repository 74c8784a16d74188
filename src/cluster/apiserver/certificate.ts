// Writes the few DER structures of X.509 that a cluster's certificates need (RFC 5280), signed with ECDSA P-256 and
// SHA-256.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { isIP } from "node:net";

export interface KeyAndCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses. */
  readonly subjectAltNames?: readonly string[];
  readonly usages: readonly ("server" | "client")[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  if (body.length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, body.length), body]);
  return Buffer.concat([Buffer.of(tag, 0x82, body.length >> 8, body.length & 0xff), body]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts);
const octets = (...parts: readonly Uint8Array[]): Buffer => tlv(0x04, ...parts);
const bits = (bytes: Uint8Array, unused = 0): Buffer => tlv(0x03, Buffer.of(unused), bytes);
const truth = Buffer.of(0x01, 0x01, 0xff);

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const out = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    out.push(...digits);
  }
  return tlv(0x06, Buffer.from(out));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return digits < "2050" ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

function nameOf(commonName: string, organizations: readonly string[] = []): Buffer {
  const attribute = (id: string, value: string): Buffer => tlv(0x31, sequence(oid(id), tlv(0x0c, Buffer.from(value))));
  return sequence(...organizations.map((value) => attribute("2.5.4.10", value)), attribute("2.5.4.3", commonName));
}

function ipBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
  return Buffer.from(groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}

function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return critical ? sequence(oid(id), truth, octets(value)) : sequence(oid(id), octets(value));
}

function subjectAltNames(names: readonly string[]): Buffer {
  const forms = names.map((name) => (isIP(name) === 0 ? tlv(0x82, Buffer.from(name)) : tlv(0x87, ipBytes(name))));
  return extension("2.5.29.17", false, sequence(...forms));
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash("sha1")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest();
}

const ecdsaWithSha256 = sequence(oid("1.2.840.10045.4.3.2"));

interface Signing {
  readonly issuer: Buffer;
  readonly issuerKey: KeyObject;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Buffer[];
}

function signed(certificate: Signing): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = sequence(
    tlv(0xa0, Buffer.of(0x02, 0x01, 0x02)),
    tlv(0x02, serial),
    ecdsaWithSha256,
    certificate.issuer,
    sequence(time(certificate.notBeforeMs), time(certificate.notAfterMs)),
    certificate.subject,
    certificate.publicKey.export({ type: "spki", format: "der" }),
    tlv(0xa3, sequence(...certificate.extensions)),
  );
  const der = sequence(body, ecdsaWithSha256, bits(sign("sha256", body, certificate.issuerKey)));
  const base64 = der.toString("base64").replaceAll(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
}

export function newKey(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Makes a self-signed authority. */
export function createAuthority(commonName: string, notBeforeMs: number, notAfterMs: number): KeyAndCertificate {
  const { privateKey, publicKey } = newKey();
  const name = nameOf(commonName);
  const identifier = keyIdentifier(publicKey);
  const extensions = [
    extension("2.5.29.15", true, bits(Buffer.of(0xa4), 2)),
    extension("2.5.29.19", true, sequence(truth)),
    extension("2.5.29.14", false, octets(identifier)),
    subjectAltNames([commonName]),
  ];
  const certificatePem = signed({
    issuer: name,
    issuerKey: privateKey,
    subject: name,
    publicKey,
    notBeforeMs,
    notAfterMs,
    extensions,
  });
  return { keyPem: pemOf(privateKey), certificatePem };
}

/** Makes a key and a certificate of an authority that {@link createAuthority} made. */
export function issueCertificate(authority: KeyAndCertificate, request: CertificateRequest): KeyAndCertificate {
  const { privateKey, publicKey } = newKey();
  const authorityKey = createPrivateKey(authority.keyPem);
  const authorityName = new X509Certificate(authority.certificatePem).subject.replace(/^CN=/, "");
  const usages = request.usages.map((usage) => oid(usage === "server" ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2"));
  const authorityIdentifier = tlv(0x80, keyIdentifier(createPublicKey(authorityKey)));
  const extensions = [
    extension("2.5.29.15", true, bits(Buffer.of(0xa0), 5)),
    extension("2.5.29.37", false, sequence(...usages)),
    extension("2.5.29.19", true, sequence()),
    extension("2.5.29.14", false, octets(keyIdentifier(publicKey))),
    extension("2.5.29.35", false, sequence(authorityIdentifier)),
  ];
  if (request.subjectAltNames !== undefined && request.subjectAltNames.length > 0)
    extensions.push(subjectAltNames(request.subjectAltNames));
  const certificatePem = signed({
    issuer: nameOf(authorityName),
    issuerKey: authorityKey,
    subject: nameOf(request.commonName, request.organizations),
    publicKey,
    notBeforeMs: request.notBeforeMs,
    notAfterMs: request.notAfterMs,
    extensions,
  });
  return { keyPem: pemOf(privateKey), certificatePem };
}
