import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { transientError } from "../../base/index.ts";
import type { WorkloadCertificate } from "./certificate-types.ts";
import { pemBlocks } from "./der.ts";

/** TLS 1.3 with AES-GCM alone, as HBONE asks. */
export const hboneCiphers = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";

/**
 * Makes a usable certificate of what a CA answered: leaf first, root (or roots) last. Refuses a chain whose leaf does
 * not carry the identity.
 */
export function workloadCertificate(identity: string, privateKeyPem: string, chain: readonly string[]): WorkloadCertificate {
  const rootsPem = chain.at(-1) ?? "";
  const own = chain.slice(0, -1).flatMap(pemBlocks);
  const leafPem = own[0];
  if (leafPem === undefined || pemBlocks(rootsPem).length === 0) {
    throw transientError("certificate-chain", `the CA answered ${chain.length} certificate(s) for ${identity}, where leaf and root were expected`);
  }
  const leaf = new X509Certificate(leafPem);
  if (!uriNames(leaf).includes(identity)) {
    throw transientError("certificate-identity", `the CA answered a certificate for "${leaf.subjectAltName ?? ""}" where ${identity} was asked`);
  }
  const chainPem = own.join("");
  return {
    identity,
    privateKeyPem,
    chainPem,
    rootsPem,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
    serialNumber: leaf.serialNumber,
    context: createSecureContext({ cert: chainPem, key: privateKeyPem, ca: rootsPem, minVersion: "TLSv1.3", ciphers: hboneCiphers }),
  };
}

/** The URI names of a certificate. */
export function uriNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? "")
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice(4));
}
