import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { Secret } from "../../api/kubernetes/index.ts";
import { messageOf } from "../../base/index.ts";
import { checkDer, derOfPem, DerReader, derTags, pemOf, readCertificate } from "../../x509/index.ts";
import type { Authority, KeyPair, SecretFacts, SecretPart } from "../model/secret-facts.ts";
import { stapleFault } from "./ocsp-staple.ts";

/** The keys of an Opaque secret come first, then those of `kubernetes.io/tls`. */
const pairKeys = [
  ["cert", "key"],
  ["tls.crt", "tls.key"],
] as const;
const authorityKeys = ["cacert", "ca.crt"] as const;
const revocationKeys = ["crl", "ca.crl"] as const;
const stapleKey = "tls.ocsp-staple";

const trustedLabel = "TRUSTED CERTIFICATE";
const revocationLabel = "X509 CRL";
/** The PEM blocks that the control plane sends to proxies. `blockStart` also finds blocks without an end. */
const block = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|X509 CRL)-----[^-]+-----END \1-----/g;
const blockStart = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|X509 CRL)-----/g;
const keyBlock = /-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----[^-]+-----END \1-----/;
/** The algorithms of PKCS#8 that are read: RSA, ECDSA and Ed25519. */
const keyAlgorithms: ReadonlySet<string> = new Set(["2a864886f70d010101", "2a8648ce3d0201", "2b6570"]);
/**
 * The form of a key, by the tag of its second field. This field is an algorithm (PKCS #8), the modulus of an RSA key,
 * or the number of an ECDSA key.
 */
const keyForms: ReadonlyMap<number, "pkcs8" | "pkcs1" | "sec1"> = new Map([
  [derTags.sequence, "pkcs8"],
  [derTags.integer, "pkcs1"],
  [derTags.octetString, "sec1"],
]);
/**
 * The text that is sent for a file without a revocation list. Envoys then refuse every peer, as they do if such a file
 * is mounted.
 */
const noRevocations = "no revocation list\n";

/** The extension by which a certificate requires a staple (RFC 7633), and the value for which Envoys look. */
const tlsFeature = "2b06010505070118";
const mustStaple = "3003020105";

/** The minimum length of RSA keys in bits, and the curves of ECDSA keys, that Envoys accept. */
const minRsaBits = 2048;
const curves: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

export function secretFacts(secret: Secret): SecretFacts {
  const { namespace = "default", name = "" } = secret.metadata;
  const data = secret.data ?? {};
  return {
    namespace,
    name,
    exists: true,
    keyPair: keyPairOf(data),
    authority: authorityIn(Object.fromEntries(Object.keys(data).map((key) => [key, textOf(data, key)]))),
  };
}

export function missingSecret(namespace: string, name: string): SecretFacts {
  const fault = `there is no secret ${namespace}/${name}`;
  return { namespace, name, exists: false, keyPair: { fault }, authority: { fault } };
}

type Data = Readonly<Record<string, string>>;

function keyPairOf(data: Data): SecretPart<KeyPair> {
  const found = pairKeys.find(([certificate, key]) => isThere(data, certificate) && isThere(data, key));
  if (found === undefined)
    return { fault: `it must have the keys cert and key, or tls.crt and tls.key; it has ${keysOf(data)}` };
  const [certificateKey, privateKeyKey] = found;
  const chain = certificatesIn(certificateKey, textOf(data, certificateKey), "chain");
  if ("fault" in chain) return chain;
  const leaf = new X509Certificate(chain.value);
  const privateKey = privateKeyIn(found, leaf, textOf(data, privateKeyKey));
  if ("fault" in privateKey) return privateKey;
  const staple = stapleOf(data, leaf);
  const fault = serverFault(certificateKey, leaf, staple);
  return {
    value: {
      certificateChain: chain.value,
      privateKey: privateKey.value,
      ...staple,
      ...(fault === undefined ? {} : { serverFault: fault }),
    },
  };
}

/** Why an Envoy rejects a certificate that a server presents. It may accept the same certificate from a client. */
function serverFault(
  certificateKey: string,
  leaf: X509Certificate,
  { ocspStaple, stapleFault: reason = `it has no ${stapleKey}` }: Pick<KeyPair, "ocspStaple" | "stapleFault">,
): string | undefined {
  if (isNameless(leaf))
    return `${certificateKey} has neither a common name nor a subject alternative name of type DNS, URI or IP: use a certificate with the names of its server`;
  return ocspStaple === undefined && requiresStaple(leaf)
    ? `${certificateKey} requires a staple (TLS feature status_request), and ${reason}. Add a current response of OCSP in DER as ${stapleKey}, or use a certificate without this feature`
    : undefined;
}

/**
 * Whether a certificate has no name of the kinds for which Envoys look. Node writes the attributes of a multi-valued
 * RDN on one line, and quotes alternative names that contain commas.
 */
function isNameless({ subject, subjectAltName = "" }: X509Certificate): boolean {
  const kinds = subjectAltName.replaceAll(/"(?:[^"\\]|\\.)*"/g, "");
  return !/(?:^| \+ )CN=./m.test(subject) && !/(?:^|, )(?:DNS|URI|IP Address):/.test(kinds);
}

/**
 * The OCSP staple of a certificate. A staple that Envoys would reject is left out. The certificate works without it,
 * unless it requires a staple.
 */
function stapleOf(data: Data, leaf: X509Certificate): Pick<KeyPair, "ocspStaple" | "stapleFault"> {
  const ocspStaple = data[stapleKey] ?? "";
  if (ocspStaple === "") return {};
  const fault = stapleFault(Buffer.from(ocspStaple, "base64"), leaf);
  return fault === undefined ? { ocspStaple } : { stapleFault: `${stapleKey} is no usable response of OCSP: ${fault}` };
}

/**
 * Whether Envoys require a staple. They do if `status_request` is the only TLS feature that the certificate lists, but
 * not if it lists others, too.
 */
function requiresStaple(leaf: X509Certificate): boolean {
  return readCertificate(leaf.raw).extensions.get(tlsFeature)?.value.toString("hex") === mustStaple;
}

export function authorityIn(data: Data): SecretPart<Authority> {
  const key = authorityKeys.find((candidate) => isThere(data, candidate));
  if (key === undefined) return { fault: `it must have the key cacert or ca.crt; it has ${keysOf(data)}` };
  const roots = certificatesIn(key, data[key] ?? "", "roots");
  if ("fault" in roots) return roots;
  const revocationKey = revocationKeys.find((candidate) => isThere(data, candidate));
  if (revocationKey === undefined) return { value: { certificates: roots.value } };
  const revocations = revocationsIn(revocationKey, data[revocationKey] ?? "");
  if ("fault" in revocations) return revocations;
  return { value: { certificates: roots.value, revocations: revocations.value || noRevocations } };
}

function isThere(data: Data, key: string): boolean {
  return (data[key] ?? "") !== "";
}

function textOf(data: Data, key: string): string {
  return Buffer.from(data[key] ?? "", "base64").toString("utf8");
}

function keysOf(data: Data): string {
  const keys = Object.keys(data).sort();
  return keys.length === 0 ? "none" : keys.join(", ");
}

/**
 * The certificates of a PEM text. Roots may be mixed with revocation lists, which Envoys apply. Only the blocks that
 * were read are sent, because any faulty block would make Envoys reject the whole text.
 */
function certificatesIn(key: string, text: string, use: "chain" | "roots"): SecretPart<string> {
  // In a chain, Envoys read no certificates with trust settings after the first certificate.
  const blocks = blocksIn(text, (label) => label !== revocationLabel)?.filter(
    ({ label }, at) => use === "roots" || at === 0 || label !== trustedLabel,
  );
  if (blocks === undefined) return { fault: `${key} has a certificate without an end` };
  if (blocks.length === 0) return { fault: `${key} has no certificate in PEM` };
  try {
    const certificates = blocks.map((found) => certificateOf(found, use)).join("");
    if (use === "chain") return { value: certificates };
    const revocations = revocationsIn(key, text);
    return "fault" in revocations ? revocations : { value: certificates + revocations.value };
  } catch (error) {
    return { fault: `${key} contains something that is not a certificate: ${messageOf(error)}` };
  }
}

/** The block of one certificate. A root keeps its trust settings, which may restrict it. */
function certificateOf({ label, text }: PemBlock, use: "chain" | "roots"): string {
  const { raw } = new X509Certificate(text);
  const settings = use === "roots" && label === trustedLabel ? derOfPem(text, /^TRUSTED/) : undefined;
  // OpenSSL also reads encodings of lengths that DER forbids, and Envoys do not.
  checkDer(settings ?? raw);
  readCertificate(raw);
  return settings === undefined ? pemOf("CERTIFICATE", raw) : pemOf(trustedLabel, settings);
}

/** The revocation lists of a text, in PEM. Empty if there are none. */
function revocationsIn(key: string, text: string): SecretPart<string> {
  const blocks = blocksIn(text, (label) => label === revocationLabel);
  if (blocks === undefined) return { fault: `${key} has a revocation list without an end` };
  try {
    const crl = blocks.map((found) => {
      const bytes = derOfPem(found.text, /^X509 CRL$/) ?? Buffer.alloc(0);
      const { encoded } = new DerReader(bytes).next(derTags.sequence);
      checkDer(encoded);
      return pemOf(revocationLabel, encoded);
    });
    if (crl.length > 0) createSecureContext({ crl });
    return { value: crl.join("") };
  } catch (error) {
    return { fault: `${key} contains something that is not a revocation list: ${messageOf(error)}` };
  }
}

interface PemBlock {
  readonly label: string;
  readonly text: string;
}

/** The blocks whose label is wanted. Undefined if one of them has no end. */
function blocksIn(text: string, isWanted: (label: string) => boolean): PemBlock[] | undefined {
  const blocks = [...text.matchAll(block)]
    .map(([found, label = ""]) => ({ label, text: found }))
    .filter(({ label }) => isWanted(label));
  const starts = [...text.matchAll(blockStart)].filter(([, label = ""]) => isWanted(label));
  return blocks.length < starts.length ? undefined : blocks;
}

/**
 * Reads the first private key of a text. Undefined if Envoys do not accept its algorithm. OpenSSL would compute the
 * public key of a DSA or Diffie-Hellman key, which can take hours with numbers that an attacker chose. Like OpenSSL,
 * this recognizes the algorithm by the key's bytes and not by its PEM label.
 */
function keyIn(text: string): KeyObject | undefined {
  const key = derOfPem(keyBlock.exec(text)?.[0] ?? "", /PRIVATE KEY$/);
  if (key === undefined) throw new Error("there is no block PRIVATE KEY without a passphrase");
  const fields = new DerReader(key).inside(derTags.sequence);
  fields.next(derTags.integer);
  const { tag, contents } = fields.next();
  const type = keyForms.get(tag);
  if (type === undefined) throw new Error("it has the form of no private key");
  if (type === "pkcs8") {
    const algorithm = new DerReader(contents).next(derTags.objectIdentifier).contents.toString("hex");
    if (!keyAlgorithms.has(algorithm)) return undefined;
  }
  return createPrivateKey({ key, format: "der", type });
}

/** The private key as PKCS#8, without the other blocks of its text. */
function privateKeyIn(
  [certificateKey, privateKeyKey]: readonly [string, string],
  leaf: X509Certificate,
  text: string,
): SecretPart<string> {
  try {
    const key = keyIn(text);
    if (key === undefined) return { fault: rejectedKey(privateKeyKey, "neither RSA, ECDSA nor Ed25519") };
    if (!leaf.checkPrivateKey(key))
      return { fault: `${privateKeyKey} is not the key of the certificate in ${certificateKey}` };
    const fault = keyFault(privateKeyKey, key);
    return fault === undefined ? { value: key.export({ type: "pkcs8", format: "pem" }).toString() } : { fault };
  } catch (error) {
    return { fault: `${privateKeyKey} has no private key in PEM: ${messageOf(error)}` };
  }
}

function keyFault(
  name: string,
  { asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject,
): string | undefined {
  const bits = details?.modulusLength ?? 0;
  const curve = details?.namedCurve ?? "";
  if (type === "ed25519" || (type === "rsa" && bits >= minRsaBits) || (type === "ec" && curves.has(curve)))
    return undefined;
  const found = type === "rsa" ? `RSA of ${bits} bits` : type === "ec" ? `ECDSA on ${curve}` : (type ?? "unknown");
  return rejectedKey(name, found);
}

function rejectedKey(name: string, found: string): string {
  return `${name} has a key that Envoys reject (${found}): use RSA of ${minRsaBits} bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519`;
}
