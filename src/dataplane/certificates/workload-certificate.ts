import { X509Certificate } from "node:crypto";
import { transientError } from "../../base/index.ts";
import { TlsContext } from "../../net/index.ts";
import type { WorkloadCertificate } from "./certificate-types.ts";
import { pemBlocks } from "./der.ts";

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
    context: TlsContext.create({ certificateChain: chainPem, privateKey: privateKeyPem, roots: rootsPem, profile: "mesh" }),
  };
}

/** The URI names of a certificate. */
function uriNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? "")
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice(4));
}
