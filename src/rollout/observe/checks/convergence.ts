import { counted, firstNames, messageOf } from "../../../base/index.ts";
import type { CheckObservation, CheckSubject } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { pilotPods, proxiesOf } from "../pilot-answers.ts";
import { namespacesConcerned, reportersOf } from "../trusted-reporters.ts";

const namedProxies = 5;
const reasonCharacters = 240;

/** The revisions of a subject's control planes. Undefined means all revisions. */
export function revisionsOf(subject: CheckSubject): readonly string[] | undefined {
  switch (subject.type) {
    case "proxies":
      return [subject.revision];
    case "revisions":
    case "gatewayRevisions":
      return [subject.canary];
    case "probes":
      return subject.revisions;
    case "backends":
    case "mesh":
      return undefined;
  }
}

/**
 * Whether every concerned proxy has acknowledged everything that its control plane has sent. A rejection fails at once.
 * `touched` are the namespaces that the rollout has changed.
 */
export async function observeConvergence(
  view: ClusterView,
  subject: CheckSubject,
  touched?: readonly string[],
): Promise<CheckObservation> {
  const revisions = revisionsOf(subject);
  const pilots = pilotPods(view).filter(({ revision }) => revisions === undefined || revisions.includes(revision));
  if (pilots.length === 0)
    return { type: "unavailable", detail: `no control plane of ${revisions?.join(" or ") ?? "the mesh"} is ready` };
  try {
    const connected = (await Promise.all(pilots.map(async (pilot) => await proxiesOf(view, pilot)))).flat();
    const { isConcerned } = reportersOf(view, namespacesConcerned(subject, touched));
    const proxies = connected.filter(({ namespace }) => isConcerned(namespace));
    if (proxies.length === 0) return { type: "verdict", verdict: "wait", evidence: "no proxy is connected" };
    const late: string[] = [];
    for (const { id, types } of proxies) {
      for (const [typeUrl, { sent, acked, reason }] of Object.entries(types)) {
        const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
        if (reason !== null)
          return {
            type: "verdict",
            verdict: "fail",
            evidence: `${id} rejected ${type}: ${reason.slice(0, reasonCharacters)}`,
          };
        if (sent !== acked) late.push(`${id} (${type})`);
      }
    }
    const count = `${counted(proxies.length, "proxy", "proxies")} of ${counted(pilots.length, "pod")} of the control plane`;
    if (late.length === 0)
      return {
        type: "verdict",
        verdict: "pass",
        evidence: `${count} ${proxies.length === 1 ? "has acknowledged all that it was" : "have acknowledged all that they were"} sent`,
      };
    return {
      type: "verdict",
      verdict: "wait",
      evidence: `of ${count}, not acknowledged by ${firstNames(late, namedProxies)}`,
    };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}
