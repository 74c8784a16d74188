import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { Secret } from "../../api/kubernetes/index.ts";
import { messageOf } from "../../base/index.ts";
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

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const certificateStart = /-----BEGIN CERTIFICATE-----/g;
const revocationBlock = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g;
const revocationStart = /-----BEGIN X509 CRL-----/g;

/** The shortest RSA key that Envoys accept, and their curves. */
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
  const certificateChain = textOf(data, certificateKey);
  const privateKey = textOf(data, privateKeyKey);
  const fault = certificateFault(certificateKey, certificateChain) ?? pairFault(found, certificateChain, privateKey);
  if (fault !== undefined) return { fault };
  return { value: { certificateChain, privateKey, ...stapleOf(data, certificateChain) } };
}

/** A staple that Envoys would reject is left out: the certificate is good without it. */
function stapleOf(data: Data, certificateChain: string): Pick<KeyPair, "ocspStaple" | "stapleFault"> {
  const ocspStaple = data[stapleKey] ?? "";
  if (ocspStaple === "") return {};
  const fault = stapleFault(Buffer.from(ocspStaple, "base64"), new X509Certificate(certificateChain));
  return fault === undefined ? { ocspStaple } : { stapleFault: `${stapleKey} is no usable response of OCSP: ${fault}` };
}

/** Reads the roots and the revocation lists from the data of a Secret or a ConfigMap. */
export function authorityIn(data: Data): SecretPart<Authority> {
  const key = authorityKeys.find((candidate) => isThere(data, candidate));
  if (key === undefined) return { fault: `it must have the key cacert or ca.crt; it has ${keysOf(data)}` };
  const certificates = data[key] ?? "";
  const fault = certificateFault(key, certificates);
  if (fault !== undefined) return { fault };
  const revocationKey = revocationKeys.find((candidate) => isThere(data, candidate));
  if (revocationKey === undefined) return { value: { certificates } };
  const revocations = data[revocationKey] ?? "";
  const faultOfRevocations = revocationsFault(revocationKey, revocations);
  return faultOfRevocations === undefined ? { value: { certificates, revocations } } : { fault: faultOfRevocations };
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

function certificateFault(key: string, text: string): string | undefined {
  const blocks = text.match(certificateBlock) ?? [];
  if (blocks.length < (text.match(certificateStart) ?? []).length) return `${key} has a certificate without an end`;
  try {
    return blocks.map((block) => new X509Certificate(block)).length === 0
      ? `${key} has no certificate in PEM`
      : undefined;
  } catch (error) {
    return `${key} contains something that is not a certificate: ${messageOf(error)}`;
  }
}

/** Envoys take a text without any list, and reject one with a faulty list. */
function revocationsFault(key: string, text: string): string | undefined {
  const crl = text.match(revocationBlock) ?? [];
  if (crl.length < (text.match(revocationStart) ?? []).length) return `${key} has a revocation list without an end`;
  try {
    if (crl.length > 0) createSecureContext({ crl: [...crl] });
    return undefined;
  } catch (error) {
    return `${key} contains something that is not a revocation list: ${messageOf(error)}`;
  }
}

function pairFault(
  [certificateKey, privateKeyKey]: readonly [string, string],
  chain: string,
  privateKey: string,
): string | undefined {
  try {
    const key = createPrivateKey(privateKey);
    return new X509Certificate(chain).checkPrivateKey(key)
      ? keyFault(privateKeyKey, key)
      : `${privateKeyKey} is not the key of the certificate in ${certificateKey}`;
  } catch (error) {
    return `${privateKeyKey} has no private key in PEM: ${messageOf(error)}`;
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
  return `${name} has a key that Envoys reject (${found}): use RSA of ${minRsaBits} bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519`;
}
