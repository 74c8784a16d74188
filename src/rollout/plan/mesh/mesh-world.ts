import type { LabelSelector, UntypedObject } from "../../../api/index.ts";
import type { ObjectReference, ProbeDataPlane } from "../../../api/serin/index.ts";
import type { OperatedPart } from "../../decide/index.ts";
import type { ProbePodSource } from "../probe-objects.ts";

/**
 * The state of the cluster from which a mesh upgrade is planned. Fields that the upgrade itself has changed have their
 * values from before the upgrade.
 */
export interface MeshWorld {
  /** The rendered objects of each install spec, including CRDs and shared objects. */
  readonly installs: readonly (readonly UntypedObject[])[];
  /** The namespaces with sidecars of the old revision or in the ambient mesh, sorted by name. */
  readonly namespaces: readonly NamespaceInWorld[];
  /** Gateways and waypoints that the old revision owned before the upgrade. */
  readonly gateways: readonly GatewayInWorld[];
  readonly classicGateways: readonly ClassicGatewayInWorld[];
  /**
   * The tags of the old revision before the upgrade, and the default injector and validator, which need no revision
   * label.
   */
  readonly tags: readonly TagInWorld[];
  /**
   * The objects of the old revision's control plane and ztunnel to delete, without those that {@link owners} manage.
   */
  readonly retirable: readonly ObjectReference[];
  /** The objects of operators that write the old revision's control plane and ztunnel. Absent without an operator. */
  readonly owners?: readonly RevisionOwner[];
  /** The namespaces of the old revision's control plane and ztunnel, also after these are deleted. */
  readonly retiredFrom?: readonly string[];
  /**
   * The old revision's webhooks that inject by namespace label, and the new one's address, for waves of single
   * workloads.
   */
  readonly injectors: readonly InjectorInWorld[];
  readonly newInjector?: Readonly<Record<string, unknown>>;
  /** The nodes on which the old revision's ztunnel runs, or ran when the upgrade began. */
  readonly ztunnelNodes: readonly string[];
  /** The agent that `to.cni` requests. */
  readonly cni?: {
    readonly objects: readonly UntypedObject[];
    /** The objects that exist already, for example `ConfigMap istio-cni-config`. */
    readonly existing: readonly string[];
    readonly nodes: readonly string[];
  };
  /** The root that `to.root` names. The fingerprint (SHA-256 in hex) is empty until there is a certificate. */
  readonly root?: {
    readonly namespace: string;
    readonly fingerprint: string;
    readonly data: Readonly<Record<string, string>>;
  };
  /** The engine's own image, which is also the image of the probes. */
  readonly probeImage: string;
  /** The fields that the pods of the probes take from the engine's pod. If absent, they take none. */
  readonly probePod?: ProbePodSource;
  /** Probe pods that are lost, and that no controller replaces. */
  readonly lostProbes?: LostProbes;
  /** The data planes of the cluster, which the matrix probes. */
  readonly dataPlanes: readonly ProbeDataPlane[];
}

/**
 * An object of an operator, which would restore objects that others delete. So the engine removes the old revision by a
 * change of this object.
 */
export interface RevisionOwner {
  readonly object: ObjectReference;
  /**
   * The components of an IstioOperator to disable. If absent, the object contains only the control plane, and is
   * deleted.
   */
  readonly components?: readonly OperatedPart[];
}

export interface NamespaceInWorld {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly injection?: NamespaceInjection;
  /** The namespace's label already names the new revision, which injects all pods that start from now on. */
  readonly labelled: boolean;
  /**
   * The workloads with sidecars of the old revision, and those that the upgrade has restarted, sorted by kind and name.
   */
  readonly workloads: readonly WorkloadInWorld[];
  /**
   * Pods with sidecars of the old revision that no restart moves, each with the reason, such as `pod cron-1: its Job
   * ends by itself`.
   */
  readonly leftToEnd: readonly string[];
  readonly ambient: boolean;
  /** The pods that a ztunnel serves, sorted by name. */
  readonly enrolledPods: readonly EnrolledPod[];
}

export interface NamespaceInjection {
  readonly label: "istio.io/rev" | "istio-injection";
  readonly value: string;
  /** The tag that the label names. Absent if the label names the revision itself. */
  readonly tag?: string;
}

export interface EnrolledPod {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  /** The revision of the ztunnel that serves the pod. Empty if no ztunnel does. */
  readonly owner: string;
}

export interface WorkloadInWorld {
  readonly object: ObjectReference;
  readonly labels: Readonly<Record<string, string>>;
  /** A label of the pods names the revision, because no label of the namespace does. */
  readonly byPodLabel: boolean;
  /**
   * `waiting`: not restarted yet. `moving`: restarted, but some pods are not yet ready and connected to the new
   * revision.
   */
  readonly state: "waiting" | "moving" | "moved";
  /** Why the workload must not be restarted now, with the name of the object that forbids it. */
  readonly heldBy?: string;
  /** `/spec/strategy` of a Deployment before the upgrade. */
  readonly strategy?: unknown;
}

/** A Gateway whose proxies a control plane deploys: an ingress gateway, or a waypoint of either class. */
export interface GatewayInWorld {
  readonly name: string;
  readonly namespace: string;
  readonly waypoint: boolean;
  /** Set for a gateway that passes connections of other networks through, and therefore counts no requests. */
  readonly eastWest?: boolean;
  /** The Gateway's label `istio.io/rev` before the upgrade, which names a revision or a tag. */
  readonly label?: string;
  /** Set if the Gateway has no revision label, and the label of its namespace selects the old revision. */
  readonly followsNamespace: boolean;
  /** Set if an earlier upgrade has moved the Gateway. This one only removes the canary that was left beside it. */
  readonly moved?: boolean;
  /** Its Deployments without canaries. There are several if each account has a waypoint. */
  readonly deployments: readonly ScaledDeployment[];
}

/**
 * The numbers of pods before the upgrade, if an earlier one has left a canary of the new revision beside the gateway's
 * Deployment. The upgrade takes the canary over.
 */
export interface LeftPods {
  readonly stable: number;
  readonly canary: number;
}

export interface ScaledDeployment {
  readonly name: string;
  /**
   * The number of pods that the gateway is to have at the end: as many as before the upgrade. With {@link left}, see
   * `gatewayPods`.
   */
  readonly replicas: number;
  /** Absent if no earlier upgrade has left a canary beside this Deployment. */
  readonly left?: LeftPods;
  /** A HorizontalPodAutoscaler decides the number of pods. */
  readonly autoscaled: boolean;
}

/**
 * A gateway that the installation itself deploys, such as `istio-ingressgateway`, with its form in the new revision.
 */
export interface ClassicGatewayInWorld {
  readonly namespace: string;
  readonly deployment: ScaledDeployment;
  /** See `GatewayInWorld.moved`. */
  readonly moved?: boolean;
  /** The Deployment that the new revision installs. */
  readonly body: UntypedObject;
  /** Its Service, account and other objects whose labels name the old revision. */
  readonly parts: readonly ObjectReference[];
  /** The canary's pods that are ready and not ending. 0 if it is not made yet, or somebody has deleted it. */
  readonly readyCanaryPods?: number;
}

/** A revision tag, or the default injector and validator. */
export interface TagInWorld {
  readonly tag: string;
  /**
   * The fields to write in the tag's objects: its MutatingWebhookConfiguration, its Service, and for `default` its
   * ValidatingWebhookConfiguration.
   */
  readonly fields: readonly { readonly object: ObjectReference; readonly pointer: string; readonly value: unknown }[];
  /**
   * The objects to create: a control plane without a revision name has no tag objects yet, and a control plane in
   * another namespace needs a Service of the tag there.
   */
  readonly objects: readonly UntypedObject[];
  /** The tag's Services outside the new control plane's namespace. They are removed with the old revision. */
  readonly left?: readonly ObjectReference[];
}

/** One webhook that injects pods by the label of their namespace. */
export interface InjectorInWorld {
  readonly object: ObjectReference;
  /** The webhook's index in `webhooks`. */
  readonly index: number;
  readonly objectSelector: LabelSelector;
}

/** The names of probe pods that no controller replaces. */
export interface LostProbes {
  /** Pods that were deleted, for example because their node was drained. */
  readonly missing: readonly string[];
  /** Pods that have ended, for example because their node evicted them. */
  readonly ended: readonly string[];
  /** Pods that stay Terminating, because their lost node never confirms that they have ended. */
  readonly stranded: readonly string[];
}
