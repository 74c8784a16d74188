import { counted, messageOf, truncated } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import {
  podOfProxyId,
  type AcknowledgementReport,
  type ConnectedProxy,
  type ObjectReference,
} from "../../api/serin/index.ts";
import type { CheckObservation, SettleState } from "../decide/index.ts";
import { probeNamespace } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { AgeOfEvent } from "./event-ages.ts";
import { absentAmong, absentFrom, reportedProxy, reportsOf, type ReportedProxy } from "./absent-proxies.ts";
import { acknowledgementOf, pilotPods, proxiesOf, reportedProxies } from "./pilot-answers.ts";
import type { PilotPod } from "./pilot-debug/pilot-pod.ts";
import { namespacesOfRoute, reportersOf, type Reporters } from "./trusted-reporters.ts";

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

/** What the engine knows about an object about which it asks proxies. */
export interface AskedObject {
  readonly reference: ObjectReference;
  /** The stored object. Undefined if it does not exist. */
  readonly object: UntypedObject | undefined;
  readonly ageMs: AgeOfEvent;
  /** The namespaces that the change concerns, beside those of the object and of its gateways. */
  readonly concerned: readonly string[];
  /** Nobody waits any longer for the proxies of other namespaces. */
  readonly withoutOthers?: boolean;
}

/**
 * Whether every pilot has processed the object's current version, and every connected proxy has acknowledged the
 * resulting responses. What a proxy of a namespace that is not concerned rejects is only reported.
 */
export async function observeAcknowledged(view: ClusterView, asked: AskedObject): Promise<SettleState> {
  const { reference, object } = asked;
  const pilots = pilotPods(view);
  if (pilots.length === 0) return { state: "waiting", detail: "no control plane is ready", left: notReadyLeft };
  const reporters = reportersAbout(view, asked);
  const ofOthers: SettleState[] = [];
  const reported: ReportedProxy[] = [];
  for (const [index, pilot] of pilots.entries()) {
    const notAsked = notAskedLeft * (pilots.length - index - 1);
    try {
      const report = await acknowledgementOf(view, pilot, reference, object?.metadata.resourceVersion ?? "0");
      const state =
        report === undefined
          ? await upstreamAcknowledged({ view, pilot, reporters }, asked)
          : acknowledgedState(pilot, report, reporters);
      if (state.state === "failed") return state;
      if (state.state === "waiting" && isOpen(state))
        return { ...state, left: (state.left ?? notAskedLeft) + notAsked };
      ofOthers.push(state);
      reported.push(...(report?.proxies ?? (await reportsOf(view, pilot))));
    } catch (error) {
      return { state: "waiting", detail: messageOf(error), left: notAskedLeft + notAsked };
    }
  }
  return withAbsent(view, reported, reporters, ofOthers);
}

/** The state if the connected proxies keep nothing from settling, except those of other namespaces. */
function withAbsent(
  view: ClusterView,
  reported: readonly ReportedProxy[],
  reporters: Reporters,
  ofOthers: readonly SettleState[],
): SettleState {
  const absent = absentState(absentAmong(view, reported), reporters);
  return isOpen(absent) ? absent : ofOthersTogether([...ofOthers, absent]);
}

/** The state for proxies that are between two connections, see {@link absentAmong}. */
function absentState(absent: readonly string[], { isConcerned, asksOthers }: Reporters): SettleState {
  const why = "has lost its connection to the control plane, and has not acknowledged anything since";
  const own = absent.filter((id) => isConcerned(namespaceOf(id)));
  const [first] = own;
  if (first !== undefined) return { state: "waiting", detail: `${first} ${why}`, left: own.length };
  const others = asksOthers ? absent : [];
  const [other] = others;
  if (other === undefined) return { state: "met" };
  return { state: "waiting", detail: `${other} ${why} (${notConcerned})`, left: others.length, isOfOthers: true };
}

/** The namespace of a proxy's id, which its credentials have proven. */
function namespaceOf(id: string): string {
  return podOfProxyId(id).namespace;
}

/** Whether the state keeps a step from settling, and not only proxies of other namespaces do. */
export function isOpen(state: SettleState): boolean {
  return state.state === "failed" || (state.state === "waiting" && state.isOfOthers !== true);
}

/** The state for the proxies of other namespaces: whether one is late, and what they have rejected. */
export function ofOthersTogether(states: readonly SettleState[]): SettleState {
  const late = states.filter((state) => state.state === "waiting");
  const [note] = states.flatMap((state) =>
    state.state === "failed" || state.note === undefined ? [] : [{ note: state.note }],
  );
  const [first] = late;
  if (first === undefined) return { state: "met", ...note };
  return { ...first, ...note, left: late.reduce((sum, { left = 1 }) => sum + left, 0) };
}

function reportersAbout(view: ClusterView, { reference, object, concerned, withoutOthers }: AskedObject): Reporters {
  const { namespace } = reference;
  if (namespace === undefined) return reportersOf(view, undefined);
  const own = object === undefined ? [namespace] : namespacesOfRoute(object);
  const reporters = reportersOf(view, [namespace, ...own, ...concerned]);
  return withoutOthers === true ? { ...reporters, asksOthers: false } : reporters;
}

function acknowledgedState(
  pilot: PilotPod,
  { processed, proxies }: AcknowledgementReport,
  { isConcerned, asksOthers }: Reporters,
): SettleState {
  if (!processed) return { state: "waiting", detail: `${pilot.name} has not processed it yet` };
  const isOwn = ({ id }: { readonly id: string }): boolean => isConcerned(namespaceOf(id));
  const own = proxies.filter(isOwn);
  const rejected = own.find((proxy) => proxy.rejected !== null);
  if (rejected !== undefined) return { state: "failed", detail: rejectionText(pilot, rejected) };
  const late = own.filter((proxy) => proxy.connected && !proxy.acknowledged);
  const [first] = late;
  if (first !== undefined)
    return { state: "waiting", detail: `${first.id} has not acknowledged yet`, left: late.length };
  const others = asksOthers ? proxies.filter((proxy) => !isOwn(proxy)) : [];
  const refusing = others.find((proxy) => proxy.rejected !== null);
  const noted = refusing === undefined ? {} : { note: `${rejectionText(pilot, refusing)} (${notConcerned})` };
  const lateOthers = others.filter((proxy) => proxy.rejected === null && proxy.connected && !proxy.acknowledged);
  const [other] = lateOthers;
  if (other === undefined) return { state: "met", ...noted };
  return {
    state: "waiting",
    detail: `${other.id} has not acknowledged yet (${notConcerned})`,
    left: lateOthers.length,
    isOfOthers: true,
    ...noted,
  };
}

/** The remark about a proxy whose answer decides nothing. */
export const notConcerned = "its namespace is not concerned, so it stops nothing";

function rejectionText(pilot: PilotPod, { id, rejected }: AcknowledgementReport["proxies"][number]): string {
  return `${id} rejected the configuration of ${pilot.name}: ${truncated(rejected?.reason ?? "", reasonCharacters)}`;
}

/** Pilots collect changes for up to this long before they push (PILOT_DEBOUNCE_AFTER, and time to compute). */
const pushMs = 3000;

/**
 * Pilots of upstream Istio do not report versions of objects, so all proxies must be in sync some time after the last
 * write.
 */
async function upstreamAcknowledged(
  { view, pilot, reporters }: { readonly view: ClusterView; readonly pilot: PilotPod; readonly reporters: Reporters },
  { object, ageMs }: AskedObject,
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
  return await inSync(view, pilot, reporters);
}

async function inSync(
  view: ClusterView,
  pilot: PilotPod,
  { isConcerned, asksOthers }: Reporters,
  isLate: (proxy: ConnectedProxy) => boolean = isStale,
): Promise<SettleState> {
  const stale = (await proxiesOf(view, pilot)).filter(isLate);
  const own = stale.filter(({ namespace }) => isConcerned(namespace));
  const others = asksOthers ? stale.filter(({ namespace }) => !isConcerned(namespace)) : [];
  const [first] = own;
  if (first !== undefined)
    return { state: "waiting", detail: `${first.id} is not in sync with ${pilot.name}`, left: own.length };
  const [other] = others;
  if (other === undefined) return { state: "met" };
  const detail = `${other.id} is not in sync with ${pilot.name} (${notConcerned})`;
  return { state: "waiting", detail, left: others.length, isOfOthers: true };
}

/**
 * Whether no proxy uses an object that was deleted `deletedMs` ago. Nobody knows the version of a deletion, so proxies
 * must have answered everything some time after it. Without a control plane, proxies keep all that they have, also what
 * the object leads to.
 */
export async function observeForgotten(
  view: ClusterView,
  asked: Omit<AskedObject, "object" | "ageMs">,
  deletedMs: number,
): Promise<SettleState> {
  const reporters = reportersAbout(view, { ...asked, object: undefined, ageMs: () => 0 });
  const ofOthers: SettleState[] = [];
  const reported: ReportedProxy[] = [];
  for (const pilot of pilotPods(view)) {
    if (deletedMs < pushMs)
      return { state: "waiting", detail: `it is deleted, and ${pilot.name} may not have pushed that yet` };
    try {
      const state = await inSync(view, pilot, reporters, isUnanswered);
      if (isOpen(state)) return state;
      ofOthers.push(state);
      reported.push(...(await reportsOf(view, pilot)));
    } catch (error) {
      return { state: "waiting", detail: messageOf(error) };
    }
  }
  return withAbsent(view, reported, reporters, ofOthers);
}

function isStale({ types }: ConnectedProxy): boolean {
  return Object.values(types).some(({ sent, acked }) => sent !== acked);
}

/**
 * Whether the proxy has neither acknowledged nor rejected a response. One that rejects what its control plane sends
 * gets in sync by no waiting. If it belongs to the revision that an undo removes, the undo would never end.
 */
function isUnanswered({ types }: ConnectedProxy): boolean {
  return Object.values(types).some(({ sent, acked, nacked }) => sent !== acked && sent !== nacked);
}

/** What a proxy has rejected, one text for each type of resource. */
function rejectedBy({ id, types }: ConnectedProxy): readonly string[] {
  return Object.entries(types).flatMap(([typeUrl, { reason }]) =>
    reason === null
      ? []
      : [`${id} rejected ${typeUrl.slice(typeUrl.lastIndexOf("/") + 1)}: ${truncated(reason, reasonCharacters)}`],
  );
}

/** What the proxies of a revision's control plane have rejected. */
interface Rejections {
  /** The number of proxies that were asked. */
  readonly count: number;
  /** The first rejection of a concerned proxy, which decides. */
  readonly decisive: string | undefined;
  /** The first rejection of another proxy, which is only reported. */
  readonly other: string | undefined;
}

async function rejectionsOf(
  view: ClusterView,
  revision: string,
  concerned: readonly string[] | undefined,
): Promise<Rejections> {
  const { isConcerned, asksOthers } = reportersOf(view, concerned);
  const served = await servedProxies(view, revision);
  const own = served.filter(({ namespace }) => isConcerned(namespace));
  const others = asksOthers ? served.filter(({ namespace }) => !isConcerned(namespace)) : [];
  const [decisive] = own.flatMap(rejectedBy);
  const [other] = others.flatMap(rejectedBy);
  return { count: own.length + others.length, decisive, other };
}

/** The evidence of a revision whose concerned proxies have rejected nothing. */
function acceptedText(revision: string, { count, other }: Rejections): string {
  return other === undefined
    ? `${counted(count, "proxy", "proxies")} of ${revision}, none has rejected anything`
    : `${counted(count, "proxy", "proxies")} of ${revision}, none of the concerned ones has rejected anything; ${other} (${notConcerned})`;
}

/**
 * Whether a proxy of the revision's control plane has rejected something. What the proxies of other namespaces than the
 * concerned ones have rejected is in the evidence, and decides nothing. Without `concerned`, all are concerned.
 */
export async function observeRejections(
  view: ClusterView,
  revision: string,
  concerned?: readonly string[],
): Promise<CheckObservation> {
  try {
    const found = await rejectionsOf(view, revision, concerned);
    if (found.decisive !== undefined) return { type: "verdict", verdict: "fail", evidence: found.decisive };
    if (found.count === 0)
      return { type: "verdict", verdict: "wait", evidence: `no proxy is connected to ${revision}` };
    return { type: "verdict", verdict: "pass", evidence: acceptedText(revision, found) };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}

/**
 * Fails if a concerned proxy has rejected something. A rejection of another one is noted. A control plane that does not
 * answer fails nothing.
 */
export async function observeNotRejected(
  view: ClusterView,
  revision: string,
  concerned: readonly string[],
): Promise<SettleState> {
  const found = await rejectionsOf(view, revision, concerned).catch(() => undefined);
  if (found?.decisive !== undefined) return { state: "failed", detail: found.decisive };
  return found?.other === undefined ? { state: "met" } : { state: "met", note: acceptedText(revision, found) };
}

/** All proxies that the pods of the revision's control plane serve. */
export async function servedProxies(view: ClusterView, revision: string): Promise<readonly ConnectedProxy[]> {
  return (await Promise.all(pilotPods(view, revision).map(async (pilot) => await proxiesOf(view, pilot)))).flat();
}

/**
 * Gateways, waypoints, sidecars and machines that the revision's control plane still serves, by name. Those that are
 * between two connections count too. Probes are excluded, because they are removed together with their revision.
 */
export async function dependentProxies(view: ClusterView, revision: string): Promise<string[]> {
  const pilots = pilotPods(view, revision);
  const reported = (await Promise.all(pilots.map(async (pilot) => await reportedProxies(view, pilot)))).flat();
  const absent = new Set(await absentFrom(view, reported.map(reportedProxy)));
  const dependents = reported
    .filter(({ type, namespace }) => type !== "ztunnel" && namespace !== probeNamespace)
    .filter(({ id, goneAt }) => goneAt === undefined || absent.has(id))
    .map(({ id }) => id);
  return [...new Set(dependents)];
}
