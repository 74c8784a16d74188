import { X509Certificate } from "node:crypto";
import { certificateFingerprint } from "../../base/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { CertificateManager } from "./certificate-manager.ts";
import type { WorkloadCertificate } from "./certificate-types.ts";
import { pemBlocks } from "../../x509/index.ts";

interface Roots {
  readonly own: string;
  readonly trusted: readonly string[];
}

/** The label for a certificate that none of the roots that came with it has signed. */
const unknownRoot = "unknown";

/**
 * Exposes the root that signed each certificate of a data plane, and the roots that the data plane trusts. A rotation
 * of the mesh's root waits for these metrics. A root's label is its SHA-256 in hexadecimal.
 */
export function addCertificateMetrics(
  registry: MetricsRegistry,
  certificates: Pick<CertificateManager, "statuses">,
): void {
  const own = registry.gauge("serin_certificates", "Workload certificates in use, by root certificate.", ["root"]);
  const trusted = registry.gauge("serin_trusted_roots", "1 if the holder of every certificate trusts the root.", [
    "root",
  ]);
  const rootsOf = new WeakMap<WorkloadCertificate, Roots>();
  const seen = new Set<string>();
  registry.onCollect(() => {
    const all = certificates.statuses().flatMap(({ certificate }) => {
      if (certificate === undefined) return [];
      const roots = rootsOf.get(certificate) ?? readRoots(certificate);
      rootsOf.set(certificate, roots);
      return roots;
    });
    for (const roots of all) for (const root of [roots.own, ...roots.trusted]) seen.add(root);
    // Include roots that are no longer in use. Otherwise their gauges would keep the last values.
    for (const root of seen) {
      own.labels(root).set(all.filter((roots) => roots.own === root).length);
      trusted.labels(root).set(all.length > 0 && all.every((roots) => roots.trusted.includes(root)) ? 1 : 0);
    }
  });
}

function readRoots({ chainPem, rootsPem }: WorkloadCertificate): Roots {
  const top = new X509Certificate(pemBlocks(chainPem).at(-1) ?? "");
  const roots = pemBlocks(rootsPem).map((pem) => new X509Certificate(pem));
  const signer = roots.find((root) => top.checkIssued(root) && top.verify(root.publicKey));
  return {
    own: signer === undefined ? unknownRoot : certificateFingerprint(signer),
    trusted: roots.map(certificateFingerprint),
  };
}
