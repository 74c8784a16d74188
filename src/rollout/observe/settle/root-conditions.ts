import { firstNames, messageOf } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { RootsReport } from "../../../api/serin/index.ts";
import type { SettleState } from "../../decide/index.ts";
import { scrapePod } from "../checks/scrape.ts";
import type { ClusterView } from "../cluster-view.ts";
import { pilotPods, rootsOf } from "../pilot-answers.ts";

interface PodRoots {
  readonly name: string;
  readonly trusted: readonly string[];
  /** The roots in which the chains of its certificates end. */
  readonly used: readonly string[];
  readonly problem: string;
}

const maxNamed = 3;

/** Whether every control plane publishes the root, and every data plane trusts it. */
export async function rootTrustedState(view: ClusterView, fingerprint: string): Promise<SettleState> {
  if (fingerprint === "") return { state: "waiting", detail: "the next root has not been made yet" };
  const pilots = await pilotRoots(view);
  const late = pilots.filter(({ report }) => !report.trusted.includes(fingerprint)).map(({ name }) => name);
  if (late.length > 0) return waiting(late, "do not hand out the root yet");
  const without = (await podRoots(view)).filter(
    ({ trusted, problem }) => problem !== "" || !trusted.includes(fingerprint),
  );
  return without.length === 0 ? { state: "met" } : waiting(without.map(named), "do not trust the root yet");
}

/** Whether every control plane signs with the root, and no data plane holds a certificate of another root. */
export async function rootInUseState(view: ClusterView, fingerprint: string): Promise<SettleState> {
  const pilots = await pilotRoots(view);
  const late = pilots.filter(({ report }) => report.signing !== fingerprint).map(({ name }) => name);
  if (late.length > 0) return waiting(late, "do not sign with the root yet");
  const other = (await podRoots(view)).filter(
    ({ used, problem }) => problem !== "" || used.some((root) => root !== fingerprint),
  );
  return other.length === 0 ? { state: "met" } : waiting(other.map(named), "have certificates of another root");
}

export async function rootAloneState(view: ClusterView, fingerprint: string): Promise<SettleState> {
  const pilots = await pilotRoots(view);
  const late = pilots
    .filter(({ report }) => report.trusted.some((root) => root !== fingerprint))
    .map(({ name }) => name);
  if (late.length > 0) return waiting(late, "hand out another root as well");
  const other = (await podRoots(view)).filter(
    ({ trusted, problem }) => problem !== "" || trusted.some((root) => root !== fingerprint),
  );
  return other.length === 0 ? { state: "met" } : waiting(other.map(named), "trust another root as well");
}

/**
 * Whether all data planes follow the current stage of the root's rotation in their roots and certificates, so that undo
 * may revert the stage. Without a control plane nothing can follow, so the condition is met.
 */
export async function rootsSettledState(view: ClusterView): Promise<SettleState> {
  const pilots = await pilotRoots(view);
  const [first] = pilots;
  if (first === undefined) return { state: "met" };
  const differing = pilots.filter(({ report }) => report.stage !== first.report.stage).map(({ name }) => name);
  if (differing.length > 0) return waiting([first.name, ...differing], "are at different stages of the root's change");
  const pods = await podRoots(view);
  const late = pods.filter(
    ({ trusted, used, problem }) =>
      problem !== "" ||
      first.report.trusted.some((root) => !trusted.includes(root)) ||
      used.some((root) => root !== first.report.signing),
  );
  return late.length === 0 ? { state: "met" } : waiting(late.map(named), "do not use the control plane's root yet");
}

function waiting(names: readonly string[], condition: string): SettleState {
  return { state: "waiting", detail: `${firstNames(names, maxNamed)} ${condition}`, left: names.length };
}

function named({ name, problem }: PodRoots): string {
  return problem === "" ? name : `${name} (${problem})`;
}

/**
 * The reports of all ready pilots. Throws if one has no such report, as those of upstream Istio: its root cannot be
 * rotated in stages.
 */
async function pilotRoots(
  view: ClusterView,
): Promise<readonly { readonly name: string; readonly report: RootsReport }[]> {
  return await Promise.all(
    pilotPods(view).map(async (pilot) => {
      const report = await rootsOf(view, pilot);
      if (report === undefined)
        throw new Error(
          `istiod ${pilot.namespace}/${pilot.name} of revision ${pilot.revision} cannot report which roots it hands out: it belongs to Istio or to an older release of Serin. Upgrade it first, or leave to.root out and change the root by the Secret cacerts`,
        );
      return { name: pilot.name, report };
    }),
  );
}

const concurrentScrapes = 32;

async function podRoots(view: ClusterView): Promise<readonly PodRoots[]> {
  return await view.recently("roots of data planes", async () => {
    const pods = view.scrapablePods({}).filter(isDataPlane);
    const found: PodRoots[] = [];
    for (let at = 0; at < pods.length; at += concurrentScrapes)
      found.push(...(await Promise.all(pods.slice(at, at + concurrentScrapes).map(rootsOfPod))));
    return found;
  });
}

function isDataPlane({ metadata, spec }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return (
    metadata.labels?.["app"] === "ztunnel" ||
    [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(({ name }) => name === "istio-proxy")
  );
}

/** The fault without the pod's name, because the text of the state already contains that name. */
function whatHappened(error: unknown): string {
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
}

async function rootsOfPod(pod: Pod): Promise<PodRoots> {
  const name = `${pod.metadata.namespace ?? ""}/${pod.metadata.name ?? ""}`;
  try {
    const samples = await scrapePod(pod, ["serin_trusted_roots", "serin_certificates"]);
    const roots = (metric: string): string[] =>
      samples.flatMap((sample) => (sample.name === metric && sample.value > 0 ? [sample.labels["root"] ?? ""] : []));
    const trusted = roots("serin_trusted_roots");
    return {
      name,
      trusted,
      used: roots("serin_certificates"),
      problem: trusted.length === 0 ? "does not report its roots" : "",
    };
  } catch (error) {
    return { name, trusted: [], used: [], problem: whatHappened(error) };
  }
}
