import type { Clock, Environment, Logger } from "../base/index.ts";
import type { KubeClient, KubeConfig } from "../kube/index.ts";
import type { Release } from "./release/release.ts";

export interface PlannedUpgrade {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /**
   * The specs of IstioOperators as the file states them: each release parses them itself. Empty if the revision is
   * installed already.
   */
  readonly installs: readonly unknown[];
  /** The spec of the CNI agent that replaces the running one. */
  readonly cni?: unknown;
  /** The Secret with the root that the mesh has after the upgrade. */
  readonly rootSecret?: string;
  readonly scope: {
    readonly ztunnel: boolean;
    readonly gateways: boolean;
    readonly waypoints: boolean;
    readonly namespaces: boolean;
  };
  /** In their order. If there are none, one wave takes all workloads. */
  readonly waves: readonly PlannedWave[];
  readonly ztunnel: { readonly by: "Pod" | "Namespace" | "Node"; readonly maxConcurrent: number };
  readonly gatewayWeights: readonly number[];
  readonly waypointWeights: readonly number[];
  readonly soakSeconds: number;
}

export interface PlannedWave {
  readonly name: string;
  readonly namespaces: readonly string[];
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly workloadLabels: Readonly<Record<string, string>>;
  readonly maxUnavailable: number;
  readonly soakSeconds: number;
}

export interface PreflightOptions {
  readonly client: KubeClient;
  readonly kubeConfig: KubeConfig;
  readonly upgrade: PlannedUpgrade;
  /** Finds the directories of releases that the caller has not named. */
  readonly releases: ReleaseFinder;
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
  /**
   * Returns the steps that the rollout engine would take, and what they leave behind. The caller passes this function,
   * because `preflight` must not import `rollout`.
   */
  readonly preview?: () => Promise<UpgradeSteps>;
}

export interface UpgradeSteps {
  readonly steps: readonly { readonly id: string; readonly title: string }[];
  /** What depends on the old revision and is moved by no step. `todo` says how a person can move it. */
  readonly leftBehind: readonly { readonly name: string; readonly todo: string }[];
}

export type ReleaseFinder = (side: "from" | "to", version: string | undefined) => Promise<Release | undefined>;
