import { X509Certificate } from "node:crypto";
import { certificateNames } from "../tls/peer-verification.ts";
import type { SecretStore } from "../tls/secret-store.ts";

const dayMs = 86_400_000;

/** `/certs`: our own certificate with the mesh's roots, then the certificates of secrets. */
export function certificatesAnswer(secrets: SecretStore, nowMs: number): unknown {
  const own = secrets.certificate({ kind: "sds", name: "default" });
  const roots = secrets.roots({ kind: "sds", name: "ROOTCA" });
  const out =
    own === undefined && roots === undefined
      ? []
      : [
          {
            ca_cert: details(roots?.roots ?? "", "ROOTCA", nowMs),
            cert_chain: details(own?.chain ?? "", "default", nowMs),
          },
        ];
  for (const { ref } of secrets.applied().values()) {
    const { name } = ref;
    const certificate = secrets.certificate(ref);
    const trusted = certificate === undefined ? secrets.roots(ref) : undefined;
    out.push({
      ca_cert: details(trusted?.roots ?? "", name, nowMs),
      cert_chain: details(certificate?.chain ?? "", name, nowMs),
    });
  }
  return { certificates: out };
}

function details(pem: string, path: string, nowMs: number): unknown[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([text]) => {
    const certificate = new X509Certificate(text);
    const until = Date.parse(certificate.validTo);
    const { uris, dns } = certificateNames(certificate);
    return {
      path,
      serial_number: certificate.serialNumber.toLowerCase(),
      subject_alt_names: [...uris.map((uri) => ({ uri })), ...dns.map((name) => ({ dns: name }))],
      days_until_expiration: String(Math.max(0, Math.floor((until - nowMs) / dayMs))),
      valid_from: new Date(Date.parse(certificate.validFrom)).toISOString(),
      expiration_time: new Date(until).toISOString(),
    };
  });
}
