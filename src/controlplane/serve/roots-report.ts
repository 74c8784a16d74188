import type { AuthorityStage, RootsReport } from "../../api/serin/index.ts";
import type { CertificateAuthority, IssuedCertificates } from "../ca/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";

/** The answer of `/debug/serin/roots`. */
export function rootsReport(
  server: DiscoveryServer,
  { stage, authority }: { readonly stage: AuthorityStage; readonly authority: CertificateAuthority },
  issued: IssuedCertificates,
  revision: string,
): RootsReport {
  const trusted = authority.rootFingerprints;
  return {
    revision,
    stage,
    signing: trusted[0] ?? "",
    trusted,
    proxies: [...server.streams]
      .map(({ proxy }) => ({ id: proxy.id, type: proxy.type, certificates: issued.of(proxy.namespace, proxy.name) }))
      .sort((left, right) => (left.id < right.id ? -1 : 1)),
  };
}
