import { createAuthority, issueCertificate, type KeyAndCertificate } from "../certificate.ts";

const hourMs = 3_600_000;

/** The certificates of a node on 127.0.0.1 and of the API server that connects to it, and the CA of both, in PEM. */
export function nodeCertificates(): {
  readonly ca: string;
  readonly node: KeyAndCertificate;
  readonly client: KeyAndCertificate;
} {
  const times = { notBeforeMs: Date.now() - hourMs, notAfterMs: Date.now() + hourMs };
  const authority = createAuthority("test", times.notBeforeMs, times.notAfterMs);
  const issue = (commonName: string, usage: "server" | "client"): KeyAndCertificate =>
    issueCertificate(authority, { commonName, subjectAltNames: ["127.0.0.1"], usages: [usage], ...times });
  return {
    ca: authority.certificatePem,
    node: issue("node", "server"),
    client: issue("kube-apiserver-kubelet-client", "client"),
  };
}
