import { X509Certificate } from "node:crypto";
import { certificateBlocks } from "../../base/index.ts";
import { certificateNames } from "../tls/peer-verification.ts";
import type { SecretStore } from "../tls/secret-store.ts";
import { certificatesInUse, wholeDaysUntil } from "./certificates-in-use.ts";

/** `/certs`: our own certificate with the mesh's roots, then the certificates of secrets. */
export function certificatesAnswer(secrets: SecretStore, nowMs: number): unknown {
  const certificates = certificatesInUse(secrets).map(({ chain, roots }) => ({
    ca_cert: details(roots.pem, roots.secret, nowMs),
    cert_chain: details(chain.pem, chain.secret, nowMs),
  }));
  return { certificates };
}

function details(pem: string, path: string, nowMs: number): unknown[] {
  return certificateBlocks(pem).map((block) => {
    const certificate = new X509Certificate(block);
    const until = Date.parse(certificate.validTo);
    const { uris, dns } = certificateNames(certificate);
    return {
      path,
      serial_number: certificate.serialNumber.toLowerCase(),
      subject_alt_names: [...uris.map((uri) => ({ uri })), ...dns.map((name) => ({ dns: name }))],
      days_until_expiration: String(wholeDaysUntil(until, nowMs)),
      valid_from: new Date(Date.parse(certificate.validFrom)).toISOString(),
      expiration_time: new Date(until).toISOString(),
    };
  });
}
