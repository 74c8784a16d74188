import { messageOf, truncated } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { AcknowledgementReport, ConnectedProxy, ObjectReference } from "../../api/serin/index.ts";
import type { CheckObservation, SettleState } from "../decide/index.ts";
import { probeNamespace } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { AgeOfEvent } from "./event-ages.ts";
import { acknowledgementOf, pilotPods, proxiesOf, type PilotPod } from "./pilot-answers.ts";
import { countsFor } from "./trusted-reporters.ts";

/**
 * The number of missing acknowledgements if it is unknown. It is larger than the number of proxies of any control
 * plane.
 */
export const notAskedLeft = 100_000;
/**
 * The number of missing proxies that an unready control plane counts as. It is larger than the sum over any number of
 * control planes.
 */
export const notReadyLeft = 1000 * notAskedLeft;
/** A proxy may name every resource that it rejected. The first ones are evidence enough. */
const reasonCharacters = 240;

/**
 * Whether every pilot has processed the object's current version, and every connected proxy that counts has
 * acknowledged the resulting responses.
 */
export async function observeAcknowledged(
  view: ClusterView,
  reference: ObjectReference,
  object: UntypedObject | undefined,
  ageMs: AgeOfEvent,
): Promise<SettleState> {
  const pilots = pilotPods(view);
  if (pilots.length === 0) return { state: "waiting", detail: "no control plane is ready", left: notReadyLeft };
  const counts = countsAbout(view, reference);
  for (const [index, pilot] of pilots.entries()) {
    const notAsked = notAskedLeft * (pilots.length - index - 1);
    try {
      const report = await acknowledgementOf(view, pilot, reference, object?.metadata.resourceVersion ?? "0");
      const state =
        report === undefined
          ? await upstreamAcknowledged({ view, pilot, counts }, object, ageMs)
          : acknowledgedState(pilot, report, counts);
      if (state.state === "waiting") return { ...state, left: (state.left ?? notAskedLeft) + notAsked };
      if (state.state === "failed") return state;
    } catch (error) {
      return { state: "waiting", detail: messageOf(error), left: notAskedLeft + notAsked };
    }
  }
  return { state: "met" };
}

/** Whether the proxies of a namespace count. */
type Counts = (namespace: string) => boolean;

function countsAbout(view: ClusterView, { namespace }: ObjectReference): Counts {
  const concerned = namespace === undefined ? undefined : [namespace];
  return (ofProxy) => countsFor(view, concerned, ofProxy);
}

function acknowledgedState(
  pilot: PilotPod,
  { processed, proxies: connected }: AcknowledgementReport,
  counts: Counts,
): SettleState {
  if (!processed) return { state: "waiting", detail: `${pilot.name} has not processed it yet` };
  // A proxy's id ends with the namespace that its credentials have proven.
  const proxies = connected.filter(({ id }) => counts(id.slice(id.lastIndexOf(".") + 1)));
  for (const proxy of proxies)
    if (proxy.rejected !== null)
      return {
        state: "failed",
        detail: `${proxy.id} rejected the configuration of ${pilot.name}: ${truncated(proxy.rejected.reason, reasonCharacters)}`,
      };
  const late = proxies.filter(({ connected, acknowledged }) => connected && !acknowledged);
  const [first] = late;
  return first === undefined
    ? { state: "met" }
    : { state: "waiting", detail: `${first.id} has not acknowledged yet`, left: late.length };
}

/** Pilots collect changes for up to this long before they push (PILOT_DEBOUNCE_AFTER, and time to compute). */
const pushMs = 3000;

/**
 * Pilots of upstream Istio do not report versions of objects, so all proxies must be in sync some time after the last
 * write.
 */
async function upstreamAcknowledged(
  { view, pilot, counts }: { readonly view: ClusterView; readonly pilot: PilotPod; readonly counts: Counts },
  object: UntypedObject | undefined,
  ageMs: AgeOfEvent,
): Promise<SettleState> {
  const written = Math.max(
    0,
    ...(object?.metadata.managedFields ?? [])
      .map(({ time }) => Date.parse(time ?? ""))
      .filter((time) => !Number.isNaN(time)),
  );
  const { namespace = "", name = "" } = object?.metadata ?? {};
  if (ageMs(`write of ${object?.kind ?? ""} ${namespace}/${name}`, written) < pushMs)
    return { state: "waiting", detail: `${pilot.name} may not have pushed it yet` };
  return await inSync(view, pilot, counts);
}

async function inSync(view: ClusterView, pilot: PilotPod, counts: Counts): Promise<SettleState> {
  const stale = (await proxiesOf(view, pilot)).filter((proxy) => counts(proxy.namespace) && isStale(proxy));
  const [first] = stale;
  return first === undefined
    ? { state: "met" }
    : { state: "waiting", detail: `${first.id} is not in sync with ${pilot.name}`, left: stale.length };
}

/**
 * Whether no proxy that counts uses an object that was deleted `deletedMs` ago. Nobody knows the version of a deletion,
 * so these proxies must be in sync some time after it. Without a control plane, proxies keep all that they have, also
 * what the object leads to.
 */
export async function observeForgotten(
  view: ClusterView,
  reference: ObjectReference,
  deletedMs: number,
): Promise<SettleState> {
  const counts = countsAbout(view, reference);
  for (const pilot of pilotPods(view)) {
    if (deletedMs < pushMs)
      return { state: "waiting", detail: `it is deleted, and ${pilot.name} may not have pushed that yet` };
    try {
      const state = await inSync(view, pilot, counts);
      if (state.state !== "met") return state;
    } catch (error) {
      return { state: "waiting", detail: messageOf(error) };
    }
  }
  return { state: "met" };
}

function isStale({ types }: ConnectedProxy): boolean {
  return Object.values(types).some(({ sent, acked }) => sent !== acked);
}

/** The proxies of the revision's control plane that count, and the resources that they rejected. */
async function rejections(
  view: ClusterView,
  revision: string,
  counts: Counts,
): Promise<{ readonly proxies: readonly ConnectedProxy[]; readonly rejected: readonly string[] }> {
  const proxies = (await servedProxies(view, revision)).filter(({ namespace }) => counts(namespace));
  const rejected = proxies.flatMap(({ id, types }) =>
    Object.entries(types).flatMap(([typeUrl, { reason }]) =>
      reason === null
        ? []
        : [`${id} rejected ${typeUrl.slice(typeUrl.lastIndexOf("/") + 1)}: ${truncated(reason, reasonCharacters)}`],
    ),
  );
  return { proxies, rejected };
}

/** `concerned`: the namespaces of the rollout's objects. Absent means that all proxies count. */
export async function observeRejections(
  view: ClusterView,
  revision: string,
  concerned?: readonly string[],
): Promise<CheckObservation> {
  try {
    const { proxies, rejected } = await rejections(view, revision, (namespace) =>
      countsFor(view, concerned, namespace),
    );
    const [first] = rejected;
    if (first !== undefined) return { type: "verdict", verdict: "fail", evidence: first };
    if (proxies.length === 0)
      return { type: "verdict", verdict: "wait", evidence: `no proxy is connected to ${revision}` };
    return {
      type: "verdict",
      verdict: "pass",
      evidence: `${proxies.length} proxies of ${revision}, none has rejected anything`,
    };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}

export async function observeNotRejected(view: ClusterView, revision: string): Promise<SettleState> {
  const rejections = await observeRejections(view, revision);
  return rejections.type === "verdict" && rejections.verdict === "fail"
    ? { state: "failed", detail: rejections.evidence }
    : { state: "met" };
}

/** All proxies that the pods of the revision's control plane serve. */
export async function servedProxies(view: ClusterView, revision: string): Promise<readonly ConnectedProxy[]> {
  return (await Promise.all(pilotPods(view, revision).map(async (pilot) => await proxiesOf(view, pilot)))).flat();
}

/**
 * Gateways, waypoints, sidecars and machines that the revision's control plane still serves, by name. Probes are
 * excluded, because they are removed together with their revision.
 */
export async function dependentProxies(view: ClusterView, revision: string): Promise<string[]> {
  return (await servedProxies(view, revision))
    .filter(({ type, namespace }) => type !== "ztunnel" && namespace !== probeNamespace)
    .map(({ id }) => id);
}
