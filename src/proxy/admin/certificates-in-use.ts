import type { SecretStore } from "../tls/secret-store.ts";

/** The certificates of a secret. The PEM is empty if the secret has none. */
interface NamedCertificates {
  readonly secret: string;
  readonly pem: string;
}

/** A certificate chain and roots. Only the entry of the proxy's own certificate has both. */
export interface CertificatesInUse {
  readonly chain: NamedCertificates;
  readonly roots: NamedCertificates;
}

/**
 * The certificates that the proxy uses: its own with the roots of the mesh, if it has them, then those of the secrets
 * that it has received.
 */
export function certificatesInUse(secrets: SecretStore): CertificatesInUse[] {
  const own = secrets.certificate({ kind: "sds", name: "default" });
  const meshRoots = secrets.roots({ kind: "sds", name: "ROOTCA" });
  const sent = [...secrets.applied().values()].map(({ ref }): CertificatesInUse => {
    const certificate = secrets.certificate(ref);
    const roots = certificate === undefined ? secrets.roots(ref) : undefined;
    return {
      chain: { secret: ref.name, pem: certificate?.chain ?? "" },
      roots: { secret: ref.name, pem: roots?.roots ?? "" },
    };
  });
  if (own === undefined && meshRoots === undefined) return sent;
  return [
    { chain: { secret: "default", pem: own?.chain ?? "" }, roots: { secret: "ROOTCA", pem: meshRoots?.roots ?? "" } },
    ...sent,
  ];
}

const dayMs = 86_400_000;

/** The number of whole days until a time. 0 if the time has passed. */
export function wholeDaysUntil(timeMs: number, nowMs: number): number {
  return Math.max(0, Math.floor((timeMs - nowMs) / dayMs));
}
