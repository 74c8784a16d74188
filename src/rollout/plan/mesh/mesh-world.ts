import type { UntypedObject } from "../../../api/index.ts";
import type { ObjectReference, ProbeDataPlane } from "../../../api/serin/index.ts";

/**
 * What a mesh upgrade's plan is made from besides its spec: the cluster as it is now, and of all that the upgrade itself has
 * changed what stood there before.
 */
export interface MeshWorld {
  /** What each install spec renders to, CRDs and shared objects included. */
  readonly installs: readonly (readonly UntypedObject[])[];
  /** Those with sidecars of the old revision and those of the ambient mesh, by name. */
  readonly namespaces: readonly NamespaceInWorld[];
  /** Gateways of our class that the old revision owns, or owned before the upgrade moved them. */
  readonly gateways: readonly GatewayInWorld[];
  /** The webhook configuration behind the tag `default`, when it names the old or the new revision. */
  readonly defaultTag: { readonly name: string; readonly webhooks: number } | undefined;
  /** What the old revision's control plane and ztunnel consist of. */
  readonly retirable: readonly ObjectReference[];
  /** The image of the engine itself, which also is the probe's. */
  readonly probeImage: string;
  /** Those that the cluster has, and the matrix tries. */
  readonly dataPlanes: readonly ProbeDataPlane[];
}

export interface NamespaceInWorld {
  readonly name: string;
  /** As they were before the upgrade. */
  readonly labels: Readonly<Record<string, string>>;
  /** How its pods come to a sidecar of the old revision, where a label of the namespace says so. */
  readonly injection?: NamespaceInjection;
  /** Its label says the new revision by now: what restarts from here on is injected by that. */
  readonly labelled: boolean;
  /** Those with sidecars of the old revision, and those that the upgrade has restarted; by kind and name. */
  readonly workloads: readonly WorkloadInWorld[];
  /** Pods with sidecars of the old revision that no restart moves, and why: `pod cron-1: its Job ends by itself`. */
  readonly leftToEnd: readonly string[];
  /** It is of the ambient mesh. */
  readonly ambient: boolean;
  /** Pods that a ztunnel has, by name. */
  readonly enrolledPods: readonly EnrolledPod[];
}

export interface NamespaceInjection {
  readonly label: "istio.io/rev" | "istio-injection";
  readonly value: string;
  /** The tag by which the label leads to the revision; absent where it names the revision itself. */
  readonly tag?: string;
}

export interface EnrolledPod {
  readonly name: string;
  readonly namespace: string;
  /** Revision of the ztunnel that has it now; empty while none has. */
  readonly owner: string;
}

/** A workload whose pods have sidecars. */
export interface WorkloadInWorld {
  readonly object: ObjectReference;
  /** Of its pods. */
  readonly labels: Readonly<Record<string, string>>;
  /** The pods' own label names the revision, as no label of the namespace does. */
  readonly byPodLabel: boolean;
  /** `waiting`: not restarted yet; `moving`: restarted, and not all of its pods are of the new revision, ready and connected. */
  readonly state: "waiting" | "moving" | "moved";
  /** Why it may not be restarted now, with the name of what forbids it. */
  readonly heldBy?: string;
  /** `/spec/strategy` of a Deployment before the upgrade. */
  readonly strategy?: unknown;
}

export interface GatewayInWorld {
  readonly name: string;
  readonly namespace: string;
  /** The gateway carried an explicit revision before the upgrade. */
  readonly labelled: boolean;
  readonly replicas: number;
}
