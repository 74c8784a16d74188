import type { CheckSpec, ObjectReference, ProbeDataPlane, RestartKind } from "../../api/serin/index.ts";
import { groupVersionOf, type UntypedObject } from "../../api/index.ts";

export interface Step {
  /** The id stays the same when steps are planned again, so that each step is done only once. */
  readonly id: string;
  readonly title: string;
  readonly writes: readonly Write[];
  readonly settle: readonly SettleCondition[];
  readonly checks: readonly PlannedCheck[];
  /**
   * Conditions that must hold before the step writes for the first time. It waits for them with the same limit as for
   * settling.
   */
  readonly needs?: readonly SettleCondition[];
  readonly pause?: { readonly durationMs?: number; readonly approved?: boolean };
  /** The phase that the status shows during the step instead of Progressing. */
  readonly phase?: "Preflight" | "Retiring";
  /** The canary's percentage of the traffic after the step has settled. Absent if the step does not set it. */
  readonly weight?: number;
  /** Namespaces whose workloads or routes the step changes. Each namespace has one rollout at a time. */
  readonly namespaces?: readonly string[];
  /**
   * The number, from 1, of the spec's step to which this step belongs. The members of a group begin each number
   * together.
   */
  readonly ordinal?: number;
  /** A full promotion includes this step. It skips steps that are not essential. */
  readonly essential?: boolean;
  /** The step prepares a watched target. It is undone only when the object is deleted. */
  readonly setup?: boolean;
  /** Time that must pass after settling before the step may end. */
  readonly holdMs?: number;
  /**
   * Settling has no time limit of its own, for example because the step waits for live connections to end, or because
   * its conditions have limits.
   */
  readonly patient?: boolean;
  /** The step writes nothing and comes after all others, so other rollouts do not wait for it. */
  readonly lingers?: boolean;
}

/**
 * One change of the cluster. The journal's entries with the same `undoGroup` are undone together, see
 * {@link RestartKind}. Entries of different groups are undone in reverse order.
 */
export type Write =
  | {
      readonly type: "field";
      readonly object: ObjectReference;
      readonly pointer: string;
      readonly value?: unknown;
      readonly restart?: RestartKind;
      readonly undoGroup?: string;
      /**
       * The user has already written the value (a pod template). Undo restores this prior value, unless the user has
       * changed the field again.
       */
      readonly adopted?: { readonly prior: unknown };
      /**
       * A field of an object that the rollout creates and removes itself. It does not conflict with writes of others.
       * See {@link isOwnWrite}.
       */
      readonly own?: boolean;
      /**
       * The journal keeps the value that the run has found, even if it equals the written one. The plan needs the found
       * value until the end of the run, whatever happens to the object meanwhile.
       */
      readonly noted?: boolean;
      /**
       * Set for a list of which the rollout changes only a part: the write keeps the changes of others. See
       * `PlannedList`. `awaitsPods`: the step waits until each destination that gets more requests has ready pods.
       */
      readonly keeps?: { readonly base: unknown; readonly isMade: boolean; readonly awaitsPods?: true };
      /**
       * The value that another field of the object must have before this one is written. The step waits until that
       * field is written.
       */
      readonly after?: { readonly pointer: string; readonly value: unknown };
      /**
       * A field that shows that the engine has written this one, even if the journal is lost. Undo then removes the
       * written field, because its prior value is unknown.
       */
      readonly mark?: string;
    }
  /** Creates a missing object. An existing one stays unchanged, and undo never removes it. */
  | {
      readonly type: "create";
      readonly body: UntypedObject;
      readonly object: ObjectReference;
      readonly undoGroup?: string;
    }
  | {
      readonly type: "delete";
      readonly object: ObjectReference;
      readonly undoGroup?: string;
      /** The rollout creates the object itself, and needs it only for a few steps. See {@link isOwnWrite}. */
      readonly own?: boolean;
      /** The object is a probe, or the namespace of the probes. Undo does not restore it, whoever made it. */
      readonly forGood?: boolean;
      /** Whether to remove a pod that stays Terminating, because its lost node never confirms that it has ended. */
      readonly force?: boolean;
    };

export type SettleCondition =
  /** Every pilot has processed the object's current version, and every affected proxy has acknowledged. */
  | { readonly type: "acknowledged"; readonly object: ObjectReference }
  /** The Deployment or DaemonSet runs its current spec. With `replicas`, at least that many pods must run. */
  | { readonly type: "ready"; readonly object: ObjectReference; readonly replicas?: number }
  /**
   * At least this many ready pods with these labels are endpoints of the Service, and every proxy has acknowledged
   * them.
   */
  | {
      readonly type: "endpoints";
      readonly service: ObjectReference;
      readonly labels: Readonly<Record<string, string>>;
      readonly atLeast: number;
    }
  /** No proxy of the revision's control plane has rejected a resource. The condition fails at the first rejection. */
  | { readonly type: "notRejected"; readonly revision: string }
  /** The CNI agent reports that this revision's ztunnel owns the pod. A deleted pod counts as settled. */
  | { readonly type: "owner"; readonly object: ObjectReference; readonly revision: string }
  | { readonly type: "podReady"; readonly object: ObjectReference }
  /** No pod with these labels runs. `toDo`: see `Obstacle`. */
  | {
      readonly type: "podsGone";
      readonly namespace: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly toDo?: string;
    }
  /**
   * Nothing depends on the revision any more: see `Dependent`. `mayStay`: the spec leaves a part of the mesh to the
   * revision, or lets a person decide when it ends.
   */
  | { readonly type: "noDependents"; readonly revision: string; readonly to: string; readonly mayStay?: boolean }
  /**
   * Every pod of the workload (or of the namespace, if `object` is a namespace) that a restart can move runs the
   * revision's sidecar, is ready, and its proxy is connected to that revision.
   */
  | {
      readonly type: "workloadRevision";
      readonly object: ObjectReference;
      readonly revision: string;
      /** The mark in the pod template of a restarted workload, see `restartMark`. */
      readonly mark: string;
      /** The time since its restart after which a workload has failed. */
      readonly withinMs: number;
    }
  /**
   * A pod of the version with these labels is ready. Met too if nothing in this cluster makes such pods: machines or
   * another cluster may serve then.
   */
  | {
      readonly type: "versionServes";
      readonly namespace: string;
      readonly service: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  /**
   * At least this many pods with these labels are ready, not counting pods that are ending. `of`: the workload that
   * makes the pods. The status names a pod once if a condition `ready` of the same workload waits for it too.
   */
  | {
      readonly type: "readyPods";
      readonly of: ObjectReference;
      readonly namespace: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly without?: string;
      readonly atLeast: number;
    }
  /** Pods that a restart cannot move (bare pods, Jobs) have ended. Waits without a limit, and names them. */
  | { readonly type: "leftToEnd"; readonly namespace: string; readonly revision: string }
  /** The object and all objects that it owned are deleted. */
  | { readonly type: "gone"; readonly object: ObjectReference }
  /**
   * This revision's webhook answers a dry-run write: of a pod (`tagServes`), or of an Istio object (`validatorServes`).
   */
  | { readonly type: "tagServes"; readonly tag: string; readonly revision: string }
  | { readonly type: "validatorServes"; readonly revision: string }
  /**
   * The node's CNI agent is ready, and pods that were enrolled at the first look still have the same rules and sockets.
   */
  | { readonly type: "cniOfNode"; readonly node: string; readonly object: ObjectReference }
  /** Every proxy and ztunnel trusts the root with this fingerprint (SHA-256, hex). */
  | { readonly type: "rootTrusted"; readonly fingerprint: string }
  /** Every proxy and ztunnel has a certificate whose chain leads to this root. */
  | { readonly type: "rootInUse"; readonly fingerprint: string }
  /** No proxy, ztunnel or control plane trusts any other root than this one. */
  | { readonly type: "rootAlone"; readonly fingerprint: string }
  /** A control plane of the revision is ready. `toDo`: see `Obstacle`. */
  | { readonly type: "revisionServes"; readonly revision: string; readonly toDo?: string }
  /** No other installation of the revision's control plane exists. Fails if there is one. */
  | { readonly type: "revisionFree"; readonly revision: string }
  /** Each control plane trusts the other's roots, and accepts the other's trust domain as its own. */
  | { readonly type: "rootsCompatible"; readonly from: string; readonly to: string };

export interface PlannedCheck {
  readonly spec: CheckSpec;
  readonly subject: CheckSubject;
}

export type CheckSubject =
  /**
   * Responses of two backends, as the proxies in front of them count them. `expectedShare` is the canary's weight in
   * percent, or its minimum if some requests are routed to the canary by their headers or by a cookie.
   */
  | {
      readonly type: "backends";
      readonly canary: WorkloadMatch;
      readonly stable: WorkloadMatch;
      readonly expectedShare: number;
      readonly atLeast: boolean;
    }
  /** Requests through gateway pods of two revisions. */
  | {
      readonly type: "gatewayRevisions";
      readonly gateway: { readonly name: string; readonly namespace: string };
      readonly canary: string;
      readonly stable: string;
    }
  /** All requests and connections of the mesh, compared with an absolute limit. */
  | { readonly type: "mesh" }
  /** Connections between probe pods of the revisions and data planes, each pair of them. */
  | { readonly type: "probes"; readonly revisions: readonly string[]; readonly dataPlanes: readonly ProbeDataPlane[] }
  | { readonly type: "proxies"; readonly revision: string }
  /**
   * The metrics of the proxies of two revisions in these namespaces (in all namespaces if empty): sidecars, waypoints
   * and gateways by their pod's revision.
   */
  | {
      readonly type: "revisions";
      readonly canary: string;
      readonly stable: string;
      readonly namespaces: readonly string[];
      /** Set if the step moves one gateway alone: the labels of its pods in both revisions. */
      readonly gatewayLabels?: Readonly<Record<string, string>>;
    };

/** The server as proxies name it: the Service, the workload, or both. */
export interface WorkloadMatch {
  readonly namespace: string;
  readonly service?: string;
  /** Name of the Deployment, `destination_workload`. */
  readonly workload?: string;
  readonly podLabels?: Readonly<Record<string, string>>;
}

/**
 * Identifies an object. The key has the group without its version: an object is the same in all versions of its API,
 * and the next release may use another version than the journal.
 */
export function referenceKey({ apiVersion, kind, namespace = "", name }: ObjectReference): string {
  return `${groupVersionOf(apiVersion).group}/${kind}/${namespace}/${name}`;
}

/**
 * The key of an object as statuses store it in records and in digests. It keeps the version of the API, because engines
 * of all releases compare it.
 */
export function storedKey({ apiVersion, kind, namespace = "", name }: ObjectReference): string {
  return `${apiVersion}/${kind}/${namespace}/${name}`;
}

export function describeReference(object: ObjectReference): string {
  return `${object.kind} ${object.namespace === undefined ? "" : `${object.namespace}/`}${object.name}`;
}
