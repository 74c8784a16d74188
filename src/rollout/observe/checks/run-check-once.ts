import type { Clock, Logger } from "../../../base/index.ts";
import type { CheckSpec, CheckStatus } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { parsePrometheus } from "../../../telemetry/index.ts";
import {
  judgeCheck,
  type CheckObservation,
  type CheckSubject,
  type PlannedCheck,
  type WorkloadMatch,
} from "../../decide/index.ts";
import { ClusterView } from "../cluster-view.ts";
import { CheckObserver, type CheckObserverOptions, type CheckOrigin } from "./check-observer.ts";

const roundMs = 500;

/**
 * Runs a check outside any rollout until it passes or fails. After `withinMs` it returns the last result, even if the
 * check still waits or has no answer. The view must have synced.
 */
async function runCheckOnce(
  check: PlannedCheck,
  options: CheckObserverOptions & { readonly withinMs: number; readonly signal: AbortSignal },
): Promise<CheckStatus> {
  const { clock, withinMs, signal } = options;
  const observer = new CheckObserver(options);
  const origin: CheckOrigin = { rollout: "", step: "" };
  const startedMs = clock.steadyMs();
  let status: CheckStatus | undefined;
  for (;;) {
    const passedMs = clock.steadyMs() - startedMs;
    const observation: CheckObservation = await observer.observe(check, { ...origin, settledForMs: passedMs });
    status = judgeCheck(check, observation, status, passedMs);
    if (status.verdict === "pass" || status.verdict === "fail" || passedMs >= withinMs || signal.aborted) return status;
    await clock.sleep(roundMs, signal).catch(() => undefined);
  }
}

export interface OutsideCheck {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Sends a GET to a port of a pod and returns the answer's body, for example through the API server. */
  readonly get: (target: {
    readonly namespace: string;
    readonly pod: string;
    readonly port: number;
    readonly path: string;
  }) => Promise<string>;
  readonly spec: CheckSpec;
  readonly canary?: WorkloadMatch;
  readonly stable?: WorkloadMatch;
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

/** Runs a check from outside the cluster: metrics come through `get`, and control planes are called directly. */
export async function runCheckOutside({
  client,
  clock,
  log,
  get,
  spec,
  canary,
  stable,
  withinMs,
  signal,
}: OutsideCheck): Promise<CheckStatus> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const view = new ClusterView(client, { log, clock });
  const running = view.run(either);
  try {
    await view.synced;
    const nobody: WorkloadMatch = { namespace: canary?.namespace ?? "" };
    const subject: CheckSubject =
      canary === undefined
        ? { type: "mesh" }
        : { type: "backends", canary, stable: stable ?? nobody, expectedShare: 0, atLeast: true };
    return await runCheckOnce(
      { spec, subject },
      {
        client,
        view,
        clock,
        withinMs,
        signal: either,
        scrape: async ({ metadata }) => {
          const { namespace = "", name: pod = "", annotations = {} } = metadata;
          return parsePrometheus(
            await get({
              namespace,
              pod,
              port: Number(annotations["prometheus.io/port"] ?? 15_020),
              path: annotations["prometheus.io/path"] ?? "/metrics",
            }),
          ).samples;
        },
      },
    );
  } finally {
    ended.abort();
    await running.catch(() => undefined);
  }
}
