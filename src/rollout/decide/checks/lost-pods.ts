import type { ReadyPods } from "../observation.ts";
import type { Judgement, PodMemory } from "./looks.ts";

/**
 * How long the canary may be without a ready pod. A deleted or evicted pod has this time for its successor. Meanwhile
 * the requests of the canary's share fail.
 */
export const lostPodsLimitMs = 15_000;

/**
 * Changes the verdict if the canary has no ready pod although it had one or should have one. Proxies then answer its
 * requests themselves and attribute them to neither version, so that a check of requests would only wait for samples. A
 * fault that the stable version shares does not come from the release, so the check only waits.
 */
export function judgeLostPods(
  judged: Judgement,
  ready: ReadyPods | undefined,
  before: PodMemory,
  settledMs: number,
): { readonly judged: Judgement; readonly memory: PodMemory } {
  const { hadPods, noPodsFromMs } = before;
  if (ready === undefined)
    return {
      judged,
      memory: {
        ...(hadPods === undefined ? {} : { hadPods }),
        ...(noPodsFromMs === undefined ? {} : { noPodsFromMs }),
      },
    };
  if (ready.canary > 0) return { judged, memory: { hadPods: true } };
  if (hadPods !== true && !ready.isExpected) return { judged, memory: {} };
  if (ready.isElsewhere === true) return { judged, memory: hadPods === undefined ? {} : { hadPods } };
  const fromMs = noPodsFromMs ?? settledMs;
  return {
    judged: withoutPods(judged, ready, settledMs - fromMs),
    memory: { ...(hadPods === undefined ? {} : { hadPods }), noPodsFromMs: fromMs },
  };
}

function withoutPods(judged: Judgement, { stable }: ReadyPods, lostMs: number): Judgement {
  if (judged.verdict === "fail") return judged;
  const seconds = lostPodsLimitMs / 1000;
  // The text must stay the same while a pod comes and goes, because a change of the text counts as progress.
  const waitsFor = judged.waitsFor ?? judged.evidence;
  if (stable === 0)
    return {
      ...judged,
      verdict: "wait",
      waitsFor,
      evidence: `neither the canary nor stable has a ready pod; ${judged.evidence}`,
    };
  if (lostMs > lostPodsLimitMs)
    return {
      ...judged,
      verdict: "fail",
      evidence: `the canary has had no ready pod for more than ${seconds} s, so its requests fail, and proxies count them for neither version; ${judged.evidence}`,
    };
  return {
    ...judged,
    verdict: "wait",
    waitsFor,
    evidence: `the canary has no ready pod, so its requests fail; the check fails if this lasts ${seconds} s; ${judged.evidence}`,
  };
}
