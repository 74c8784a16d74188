import type { LabelSelector, UntypedObject } from "../../../api/index.ts";
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
  /** Gateways and waypoints that the old revision owned before the upgrade. */
  readonly gateways: readonly GatewayInWorld[];
  readonly classicGateways: readonly ClassicGatewayInWorld[];
  /** Tags that led to the old revision before the upgrade, and who else injects or validates where no revision is named. */
  readonly tags: readonly TagInWorld[];
  /** What the old revision's control plane and ztunnel consist of. */
  readonly retirable: readonly ObjectReference[];
  /** How the old revision's webhooks inject by a namespace's label, and the new one is reached: for waves of single workloads. */
  readonly injectors: readonly InjectorInWorld[];
  readonly newInjector?: Readonly<Record<string, unknown>>;
  /** Nodes on which the old revision's ztunnel runs, or ran when the upgrade began. */
  readonly ztunnelNodes: readonly string[];
  /** The agent that `to.cni` asks for. */
  readonly cni?: {
    readonly objects: readonly UntypedObject[];
    /** Those of them that are there already, `ConfigMap istio-cni-config`. */
    readonly existing: readonly string[];
    /** Those that run an agent. */
    readonly nodes: readonly string[];
  };
  /** The root that `to.root` names; the fingerprint (SHA-256, hex) is empty while there is no certificate yet. */
  readonly root?: {
    readonly namespace: string;
    readonly fingerprint: string;
    readonly data: Readonly<Record<string, string>>;
  };
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
  readonly node: string;
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

/** A Gateway whose proxies a control plane deploys: an ingress gateway, or a waypoint of either class. */
export interface GatewayInWorld {
  readonly name: string;
  readonly namespace: string;
  readonly waypoint: boolean;
  /** Its label `istio.io/rev` before the upgrade: a revision, or a tag. */
  readonly label?: string;
  /** It has no label of its own, and its namespace's leads to the old revision. */
  readonly followsNamespace: boolean;
  /** Its Deployments but for canaries; several where each account has a waypoint. */
  readonly deployments: readonly ScaledDeployment[];
}

export interface ScaledDeployment {
  readonly name: string;
  /** Before the upgrade. */
  readonly replicas: number;
  /** A HorizontalPodAutoscaler decides how many. */
  readonly autoscaled: boolean;
}

/** A gateway that the installation itself brings (`istio-ingressgateway`), and what the new revision's would be. */
export interface ClassicGatewayInWorld {
  readonly namespace: string;
  readonly deployment: ScaledDeployment;
  /** As it is installed with the new revision. */
  readonly body: UntypedObject;
  /** Its Service, account and the like, which name the old revision as well. */
  readonly parts: readonly ObjectReference[];
}

/** Webhooks that lead somewhere by name. */
export interface TagInWorld {
  readonly tag: string;
  /** Its MutatingWebhookConfiguration, its Service and, of `default`, its ValidatingWebhookConfiguration: each with what must be written. */
  readonly fields: readonly { readonly object: ObjectReference; readonly pointer: string; readonly value: unknown }[];
  /** To be made: a control plane without a name is the default without any tag. */
  readonly objects: readonly UntypedObject[];
}

/** One webhook that injects pods by the label of their namespace. */
export interface InjectorInWorld {
  readonly object: ObjectReference;
  /** Of `webhooks`. */
  readonly index: number;
  /** Before the upgrade. */
  readonly objectSelector: LabelSelector;
}
