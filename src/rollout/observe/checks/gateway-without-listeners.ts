import type { CheckObservation, CheckSubject } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { scrapeAll, type Answer } from "./counters.ts";
import { proxiesFor } from "./proxies.ts";
import type { Scrape } from "./scrape.ts";

/** A metric of our own proxies: Envoy's counts internal listeners too. */
const listenersMetric = "serin_proxy_listeners";

/**
 * A pass if no pod of the gateway listens, in either revision: no Gateway is bound to it, so that no request can ever
 * come and be judged. Undefined if one listens or does not tell its metrics, and while the new revision has no pod.
 */
export async function gatewayWithoutListeners(
  view: ClusterView,
  subject: CheckSubject,
  scrape: Scrape,
): Promise<CheckObservation | undefined> {
  if (subject.type !== "gatewayRevisions") return undefined;
  const { answers } = await scrapeAll(view, subject, scrape);
  const isKnown = answers.length === proxiesFor(view, subject).length;
  const hasCanary = answers.some(({ proxy }) => proxy.revision === subject.canary);
  if (!isKnown || !hasCanary || answers.some((answer) => listenersOf(answer) !== 0)) return undefined;
  return {
    type: "verdict",
    verdict: "pass",
    evidence: "the gateway has no listener in either revision, so no request can come: no Gateway is bound to it",
  };
}

function listenersOf({ samples }: Answer): number | undefined {
  return samples.find(({ name }) => name === listenersMetric)?.value;
}
