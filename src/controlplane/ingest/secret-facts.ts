import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Secret } from "../../api/kubernetes/index.ts";
import { messageOf } from "../../base/index.ts";
import type { Authority, KeyPair, SecretFacts, SecretPart } from "../model/secret-facts.ts";

/** The keys of an Opaque secret come first, then those of `kubernetes.io/tls`. */
const pairKeys = [
  ["cert", "key"],
  ["tls.crt", "tls.key"],
] as const;
const authorityKeys = ["cacert", "ca.crt"] as const;
const revocationKeys = ["crl", "ca.crl"] as const;
const stapleKey = "tls.ocsp-staple";

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

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
  const staple = data[stapleKey];
  return {
    value: { certificateChain, privateKey, ...(staple === undefined || staple === "" ? {} : { ocspStaple: staple }) },
  };
}

/** Reads the roots and the revocation lists from the data of a Secret or a ConfigMap. */
export function authorityIn(data: Data): SecretPart<Authority> {
  const key = authorityKeys.find((candidate) => isThere(data, candidate));
  if (key === undefined) return { fault: `it must have the key cacert or ca.crt; it has ${keysOf(data)}` };
  const certificates = data[key] ?? "";
  const fault = certificateFault(key, certificates);
  if (fault !== undefined) return { fault };
  const revocationKey = revocationKeys.find((candidate) => isThere(data, candidate));
  return {
    value: { certificates, ...(revocationKey === undefined ? {} : { revocations: data[revocationKey] ?? "" }) },
  };
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
  try {
    return blocks.map((block) => new X509Certificate(block)).length === 0
      ? `${key} has no certificate in PEM`
      : undefined;
  } catch (error) {
    return `${key} contains something that is not a certificate: ${messageOf(error)}`;
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
      ? undefined
      : `${privateKeyKey} is not the key of the certificate in ${certificateKey}`;
  } catch (error) {
    return `${privateKeyKey} has no private key in PEM: ${messageOf(error)}`;
  }
}
