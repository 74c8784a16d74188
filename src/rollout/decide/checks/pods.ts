import type { CheckSpec } from "../../../api/serin/index.ts";
import { judgeRate, noEvidence, addBatch } from "../../judge/rate-test.ts";
import type { PodFacts, SeenPods } from "../observation.ts";
import type { Judgement } from "./looks.ts";

/**
 * The state between looks, by the pods' uids: each pod's restarts when it was first seen; which pods have been ready;
 * since when they are no longer ready, in milliseconds since the step settled; and how often each of them became ready
 * again.
 */
interface PodState {
  readonly restarts: Readonly<Record<string, number>>;
  readonly ready: readonly string[];
  readonly unreadyFromMs?: Readonly<Record<string, number>>;
  readonly returns?: Readonly<Record<string, number>>;
}

/**
 * How long a pod may be not ready while its containers run on. A kubelet that was restarted reports all of its pods as
 * not ready until their next probe.
 */
const unreadyLimitMs = 30_000;
/**
 * How often a pod that has been ready may become ready again, unless the stable pods do so too. A canary whose
 * readiness flaps must not pass.
 */
const maxReturns = 3;

export function judgePods(spec: CheckSpec, seen: SeenPods, before: unknown, settledMs: number): Judgement {
  const state = before as PodState | undefined;
  const all = [...seen.canary, ...seen.stable];
  const inner: PodState = {
    restarts: Object.fromEntries(all.map(({ uid, restarts }) => [uid, state?.restarts[uid] ?? restarts])),
    ready: all.filter(({ uid, ready }) => ready || state?.ready.includes(uid) === true).map(({ uid }) => uid),
  };
  if (spec.type === "restarts") return { ...judgeRestarts(seen, inner, state === undefined), inner };
  const lost = all.filter((pod) => isLost(pod, inner));
  const unreadyFromMs = Object.fromEntries(lost.map(({ uid }) => [uid, state?.unreadyFromMs?.[uid] ?? settledMs]));
  const returns = returnsOf(all, state);
  const kept: PodState = {
    ...inner,
    ...(lost.length === 0 ? {} : { unreadyFromMs }),
    ...(Object.keys(returns).length === 0 ? {} : { returns }),
  };
  return { ...judgeHealth(seen, kept, settledMs), inner: kept };
}

function returnsOf(pods: readonly PodFacts[], before: PodState | undefined): Record<string, number> {
  const counts = pods.map(({ uid, ready }): [string, number] => {
    const isBack = ready && before?.unreadyFromMs?.[uid] !== undefined;
    return [uid, (before?.returns?.[uid] ?? 0) + (isBack ? 1 : 0)];
  });
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

function isLost({ uid, ready, ending }: PodFacts, state: PodState): boolean {
  return !ready && !ending && state.ready.includes(uid);
}

function judgeHealth({ canary, stable }: SeenPods, state: PodState, settledMs: number): Judgement {
  if (canary.length === 0) return { verdict: "wait", evidence: "the canary has no pod" };
  const counts = `canary: ${canary.filter((pod) => pod.ready).length} of ${canary.length} pods are ready, stable: ${stable.filter((pod) => pod.ready).length} of ${stable.length}`;
  // A fault that the stable pods have too does not come from the release.
  const common = new Set(stable.flatMap((pod) => (pod.problem === undefined ? [] : [pod.problem.kind])));
  const ill = canary.filter(({ problem }) => problem !== undefined && !common.has(problem.kind));
  const [first] = ill;
  if (first?.problem !== undefined)
    return { verdict: "fail", evidence: `${first.name}: ${first.problem.detail}; ${counts}` };
  const lost = canary.filter((pod) => isLost(pod, state));
  const lostStable = stable.filter((pod) => isLost(pod, state));
  const returns = ({ uid }: PodFacts): number => state.returns?.[uid] ?? 0;
  const flapping = lost.find((pod) => returns(pod) >= maxReturns && returns(pod) > sharedReturns(pod, stable, returns));
  if (flapping !== undefined)
    return {
      verdict: "fail",
      evidence: `${lostText(flapping)}, after it was ready again ${returns(flapping)} times; ${counts}`,
    };
  if (lost[0] !== undefined && lost.length / canary.length > lostStable.length / Math.max(1, stable.length)) {
    const text = lostText(lost[0]);
    if (lost.some((pod) => hasCrashed(pod, state) || isUnreadyForLong(pod, state, settledMs)))
      return { verdict: "fail", evidence: `${text}; ${counts}` };
    const limit = `the check fails if this lasts ${unreadyLimitMs / 1000} s`;
    return { verdict: "wait", waitsFor: text, evidence: `${text}; ${limit}; ${counts}` };
  }
  const waiting = canary.find((pod) => !pod.ready && !pod.ending);
  if (waiting !== undefined)
    return { verdict: "wait", evidence: `${waiting.name} is not ready: ${waiting.detail}; ${counts}` };
  return { verdict: "pass", evidence: counts };
}

/**
 * How often pods of stable became ready again after a fault that the canary's pod may share: a fault of its node, or
 * one that most pods of stable have, for example because of a service that all of them need. A single pod of stable
 * that flaps on another node does not excuse the canary. The function compares how often pods returned, and not which
 * pods are ready at the moment, because one look may see the canary's pods earlier than those of stable.
 */
function sharedReturns({ node }: PodFacts, stable: readonly PodFacts[], returns: (pod: PodFacts) => number): number {
  const ofNode = stable.filter((pod) => node !== undefined && pod.node === node).map(returns);
  const inOrder = stable.map(returns).toSorted((left, right) => left - right);
  return Math.max(0, ...ofNode, inOrder[Math.floor((inOrder.length - 1) / 2)] ?? 0);
}

function lostText({ name, detail, lastEnd }: PodFacts): string {
  return `${name} was ready, and no longer is: ${detail}${lastEnd === undefined ? "" : `, ${lastEnd}`}`;
}

function hasCrashed({ uid, restarts, lastEnd }: PodFacts, state: PodState): boolean {
  return restarts > (state.restarts[uid] ?? restarts) || (restarts === 0 && lastEnd !== undefined);
}

function isUnreadyForLong({ uid }: PodFacts, { unreadyFromMs }: PodState, settledMs: number): boolean {
  return settledMs - (unreadyFromMs?.[uid] ?? settledMs) > unreadyLimitMs;
}

function podsText({ length }: readonly PodFacts[]): string {
  return `${length} ${length === 1 ? "pod" : "pods"}`;
}

/**
 * Compares the restarts with those of the stable version, as if each were an error: a canary that restarts no more
 * often than stable passes.
 */
function judgeRestarts({ canary, stable }: SeenPods, { restarts }: PodState, first: boolean): Judgement {
  if (canary.length === 0) return { verdict: "wait", evidence: "the canary has no pod" };
  const since = (pod: PodFacts): number => Math.max(0, pod.restarts - (restarts[pod.uid] ?? pod.restarts));
  const sum = (pods: readonly PodFacts[]): number => pods.reduce((total, pod) => total + since(pod), 0);
  const [ofCanary, ofStable] = [sum(canary), sum(stable)];
  const counts = `restarts: canary ${ofCanary} in ${podsText(canary)}, stable ${ofStable} in ${podsText(stable)}`;
  if (first) return { verdict: "wait", evidence: "counting begins" };
  if (ofCanary === 0) return { verdict: "pass", evidence: counts };
  const worst = canary.toSorted((left, right) => since(right) - since(left))[0];
  const cause = worst === undefined ? "" : `; ${worst.name}: ${worst.lastEnd ?? worst.detail}`;
  if (ofStable === 0) return { verdict: "fail", evidence: `${counts}${cause}` };
  const batch = {
    canaryTotal: canary.length,
    canaryErrors: ofCanary,
    stableTotal: stable.length,
    stableErrors: ofStable,
  };
  const { verdict } = judgeRate(addBatch(noEvidence, batch, 0.5), { minSamples: 1, maxErrorRate: 0.5 });
  return verdict === "fail"
    ? { verdict: "fail", evidence: `${counts}${cause}` }
    : { verdict: "pass", evidence: `${counts}: no worse than stable` };
}
