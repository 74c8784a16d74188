import { messageOf, truncated } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import {
  podOfProxyId,
  type AcknowledgementReport,
  type ConnectedProxy,
  type ObjectReference,
} from "../../api/serin/index.ts";
import type { SettleState } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { AgeOfEvent } from "./event-ages.ts";
import { absentAmong, reportsOf, type ReportedProxy } from "./absent-proxies.ts";
import { acknowledgementOf, pilotPods, proxiesOf } from "./pilot-answers.ts";
import type { PilotPod } from "./pilot-debug/pilot-pod.ts";
import { namespacesOfRoute, reportersOf, type Reporters } from "./trusted-reporters.ts";

/**
 * The value of `left` for a control plane that has not been asked, or has not answered. It is larger than the number of
 * proxies of any control plane.
 */
export const notAskedLeft = 100_000;
/** The value of `left` while no control plane is ready. It is larger than the sum over any number of control planes. */
export const notReadyLeft = 1000 * notAskedLeft;
/**
 * The maximum length of a rejection in a text. A proxy may name every resource that it rejected, but the first ones
 * suffice as evidence.
 */
export const reasonCharacters = 240;

export interface AskedObject {
  readonly reference: ObjectReference;
  readonly object: UntypedObject | undefined;
  readonly ageMs: AgeOfEvent;
  /** The namespaces that the change concerns, besides those of the object and of its gateways. */
  readonly concerned: readonly string[];
  /** If true, a proxy of a namespace that is not concerned is not waited for, and its rejection is not reported. */
  readonly withoutOthers?: boolean;
}

/**
 * Whether every pilot has processed the object's current version, and every connected proxy has acknowledged the
 * resulting responses. A rejection fails the condition only if the proxy's namespace is concerned. Otherwise the
 * rejection is only noted.
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

function withAbsent(
  view: ClusterView,
  reported: readonly ReportedProxy[],
  reporters: Reporters,
  ofOthers: readonly SettleState[],
): SettleState {
  const absent = absentState(absentAmong(view, reported), reporters);
  return isOpen(absent) ? absent : ofOthersTogether([...ofOthers, absent]);
}

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

/** The namespace in a proxy's id. Only proxies with a proven identity are reported, so the namespace is not forged. */
function namespaceOf(id: string): string {
  return podOfProxyId(id).namespace;
}

/** Whether the state keeps a step from settling. A state that only proxies of other namespaces cause does not. */
export function isOpen(state: SettleState): boolean {
  return state.state === "failed" || (state.state === "waiting" && state.isOfOthers !== true);
}

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

export const notConcerned = "its namespace is not concerned, so it stops nothing";

function rejectionText(pilot: PilotPod, { id, rejected }: AcknowledgementReport["proxies"][number]): string {
  return `${id} rejected the configuration of ${pilot.name}: ${truncated(rejected?.reason ?? "", reasonCharacters)}`;
}

/**
 * A change reaches proxies at most this long after its write: pilots collect changes first (PILOT_DEBOUNCE_AFTER), and
 * then compute the responses.
 */
const pushMs = 3000;

/**
 * The fallback for pilots of upstream Istio, which do not report versions of objects: the last write must be older than
 * {@link pushMs}, and every proxy must be in sync.
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
 * Whether no proxy uses an object that was deleted `deletedMs` ago. A deletion has no version to acknowledge. Instead
 * the deletion must be older than {@link pushMs}, and the proxies must have answered every response. If no control
 * plane runs, the result is `met`, although proxies keep their whole configuration.
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
 * Whether the proxy has neither acknowledged nor rejected its last response of some type. A rejection counts as an
 * answer here: a proxy that rejects the configuration never gets in sync, and an undo that removes the proxy's revision
 * would wait for it forever.
 */
function isUnanswered({ types }: ConnectedProxy): boolean {
  return Object.values(types).some(({ sent, acked, nacked }) => sent !== acked && sent !== nacked);
}
