import type { Clock, Environment, Logger } from "../base/index.ts";
import type { KubeClient, KubeConfig } from "../kube/index.ts";
import type { Release } from "./release/release.ts";

/** The upgrade, as far as a plan needs it: fields of a MeshUpgrade's spec. */
export interface PlannedUpgrade {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** Specs of IstioOperators as they stand in the file, so that each release reads them itself; none: the revision is installed already. */
  readonly installs: readonly unknown[];
  /** The same for the CNI agent that replaces the one that runs. */
  readonly cni?: unknown;
  /** The Secret whose root the mesh shall have after the upgrade. */
  readonly rootSecret?: string;
  readonly scope: {
    readonly ztunnel: boolean;
    readonly gateways: boolean;
    readonly waypoints: boolean;
    readonly namespaces: boolean;
  };
  /** In their order; one of everything when empty. */
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
  /** Workloads that restart at once. */
  readonly maxUnavailable: number;
  readonly soakSeconds: number;
}

export interface PreflightOptions {
  readonly client: KubeClient;
  readonly kubeConfig: KubeConfig;
  readonly upgrade: PlannedUpgrade;
  /** Finds the trees of the versions that are wanted, where the caller named none. */
  readonly releases: ReleaseFinder;
  /** The caller's, for the processes of releases: PATH, HOME and the like. */
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
  /** The steps that the rollout engine would make of it, and what they leave behind; passed in, as the parts do not know each other. */
  readonly preview?: () => Promise<UpgradeSteps>;
}

export interface UpgradeSteps {
  readonly steps: readonly { readonly id: string; readonly title: string }[];
  /** What needs the old revision and no step moves, with what a person does. */
  readonly leftBehind: readonly { readonly name: string; readonly todo: string }[];
}

export type ReleaseFinder = (side: "from" | "to", version: string | undefined) => Promise<Release | undefined>;
