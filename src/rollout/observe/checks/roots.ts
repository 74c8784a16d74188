import { counted, truncated } from "../../../base/index.ts";
import type { CheckObservation, CheckSubject } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { scrapeAll } from "./counters.ts";
import { podName } from "../live-pods.ts";
import type { Scrape } from "./scrape.ts";

/**
 * `serin_certificates{root}` is the number of certificates in use whose chain ends in the root.
 * `serin_trusted_roots{root}` is 1 if every holder of certificates in the proxy trusts the root.
 */
const certificatesMetric = "serin_certificates";
const trustedMetric = "serin_trusted_roots";
const shownDigits = 12;

interface ProxyRoots {
  readonly name: string;
  readonly own: readonly string[];
  readonly trusted: readonly string[];
}

/**
 * Whether every proxy and ztunnel of the subject trusts the roots, and has only certificates whose chain ends in one of
 * them. If no roots are given, these are the roots in which the chains of the subject's own certificates end.
 */
export async function observeRoots(
  view: ClusterView,
  subject: CheckSubject,
  roots: readonly string[],
  scrape: Scrape,
): Promise<CheckObservation> {
  // ztunnels hold the certificates of workloads without sidecars, and only the subject `mesh` includes them.
  const { answers, problem } = await scrapeAll(
    view,
    subject.type === "backends" || subject.type === "revisions" ? { type: "mesh" } : subject,
    scrape,
    [certificatesMetric, trustedMetric],
  );
  if (answers.length === 0) return { type: "unavailable", detail: problem };
  const proxies = answers.flatMap(({ proxy, samples }): ProxyRoots[] => {
    const named = (metric: string): string[] =>
      samples.flatMap(({ name, labels, value }) => (name === metric && value > 0 ? [labels["root"] ?? ""] : []));
    const own = named(certificatesMetric);
    // A proxy that does not use mTLS has no certificate, and is left out.
    return own.length === 0 ? [] : [{ name: podName(proxy.pod), own, trusted: named(trustedMetric) }];
  });
  if (proxies.length === 0)
    return { type: "verdict", verdict: "wait", evidence: `none of ${answers.length} proxies reports a certificate` };
  const wanted = roots.length > 0 ? roots : [...new Set(proxies.flatMap(({ own }) => own))];
  for (const { name, own, trusted } of proxies) {
    const untrusted = wanted.find((root) => !trusted.includes(root));
    if (untrusted !== undefined)
      return {
        type: "verdict",
        verdict: "wait",
        evidence: `${name} does not trust the root ${shown(untrusted)}; it trusts ${trusted.map(shown).join(", ")}`,
      };
    const foreign = own.find((root) => !wanted.includes(root));
    if (foreign !== undefined)
      return {
        type: "verdict",
        verdict: "wait",
        evidence: `${name} has a certificate whose chain leads to the root ${shown(foreign)}`,
      };
  }
  return {
    type: "verdict",
    verdict: "pass",
    evidence: `${counted(proxies.length, "proxy trusts", "proxies trust")} ${wanted.map(shown).join(", ")}, and the chains of all their certificates lead to ${wanted.length === 1 ? "it" : "one of these"}`,
  };
}

function shown(root: string): string {
  return truncated(root, shownDigits);
}
