import { matchesLabels } from "../../../api/index.ts";
import type { CheckObservation, CheckSubject } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { listenersMetric, requestMetrics, scrapeAll, type Answer } from "./counters.ts";
import { proxiesFor, type ProxyPod } from "./proxies.ts";
import type { Scrape } from "./scrape.ts";

/**
 * Passes a check of a gateway that has no listener in either revision: no Gateway is bound to it, so no request can
 * arrive. Returns undefined if a pod listens, if a pod's metrics cannot be read, or while the new revision has no pod.
 */
export async function gatewayWithoutListeners(
  view: ClusterView,
  subject: CheckSubject,
  scrape: Scrape,
  step = "",
): Promise<CheckObservation | undefined> {
  if (subject.type !== "gatewayRevisions" && subject.type !== "revisions") return undefined;
  const pods = podsOf(view, subject);
  if (pods === undefined) return undefined;
  const { answers } = await scrapeAll(view, subject, scrape, requestMetrics, step);
  const ofGateway = answers.filter(({ proxy }) => pods.some(({ pod }) => pod === proxy.pod));
  const hasCanary = ofGateway.some(({ proxy }) => proxy.revision === subject.canary);
  if (ofGateway.length < pods.length || !hasCanary) return undefined;
  if (ofGateway.some((answer) => listenersOf(answer) !== 0)) return undefined;
  return {
    type: "verdict",
    verdict: "pass",
    evidence: "the gateway has no listener in either revision, so no request can come: no Gateway is bound to it",
  };
}

/** The gateway's proxies of both revisions. Undefined if the subject is not a single gateway. */
function podsOf(
  view: ClusterView,
  subject: Extract<CheckSubject, { readonly type: "gatewayRevisions" | "revisions" }>,
): readonly ProxyPod[] | undefined {
  if (subject.type === "gatewayRevisions") return proxiesFor(view, subject);
  const { gatewayLabels, namespaces } = subject;
  if (gatewayLabels === undefined) return undefined;
  return proxiesFor(view, subject).filter(
    ({ pod: { metadata } }) =>
      namespaces.includes(metadata.namespace ?? "") && matchesLabels(gatewayLabels, metadata.labels),
  );
}

function listenersOf({ samples }: Answer): number | undefined {
  return samples.find(({ name }) => name === listenersMetric)?.value;
}
