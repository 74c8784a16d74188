import type { CheckSpec, ObjectReference } from "../../api/serin/index.ts";
import type { UntypedObject } from "../../api/index.ts";

/** One step of a plan: what it writes, when that has settled, and what must then be seen. Pure data. */
export interface Step {
  /** Stable over re-planning: a step is done once, by its id. */
  readonly id: string;
  readonly title: string;
  readonly writes: readonly Write[];
  readonly settle: readonly SettleCondition[];
  readonly checks: readonly PlannedCheck[];
  readonly pause?: { readonly durationMs?: number; readonly approved?: boolean };
  /** Time that must pass after settling before the step may end. */
  readonly holdMs?: number;
  /** Waits for live connections to end by themselves: settling has no time limit. */
  readonly patient?: boolean;
}

export type Write =
  | { readonly type: "field"; readonly object: ObjectReference; readonly pointer: string; readonly value?: unknown }
  /** Makes an object that is not there; one that is there already is left alone and never removed by undo. */
  | { readonly type: "create"; readonly body: UntypedObject; readonly object: ObjectReference }
  | { readonly type: "delete"; readonly object: ObjectReference };

export type SettleCondition =
  /** Every pilot has processed the object as it is now, and every proxy that it concerns has acknowledged. */
  | { readonly type: "acknowledged"; readonly object: ObjectReference }
  /** The Deployment or DaemonSet runs what its spec says. */
  | { readonly type: "ready"; readonly object: ObjectReference }
  /** No proxy of the revision's control plane has rejected what it was sent; fails at the first that has. */
  | { readonly type: "notRejected"; readonly revision: string }
  /** The CNI agent says that this revision's ztunnel owns the pod; a pod that is gone counts as settled. */
  | { readonly type: "owner"; readonly object: ObjectReference; readonly revision: string }
  /** The pod answers its readiness probe. */
  | { readonly type: "podReady"; readonly object: ObjectReference }
  /** No pod with these labels runs any more. */
  | { readonly type: "podsGone"; readonly namespace: string; readonly labels: Readonly<Record<string, string>> }
  /** Nothing is served by the revision any more: no gateway, no waypoint, no pod of its ztunnel. */
  | { readonly type: "noDependents"; readonly revision: string };

/** A check with the two groups that it compares. */
export interface PlannedCheck {
  readonly spec: CheckSpec;
  readonly subject: CheckSubject;
}

export type CheckSubject =
  /** Answers of two backends, as the proxies in front of them count them. `expectedShare` is the canary's weight in percent, or at least so much where some requests go there by their headers. */
  | { readonly type: "backends"; readonly canary: WorkloadMatch; readonly stable: WorkloadMatch; readonly expectedShare: number; readonly atLeast: boolean }
  /** Requests through gateway pods of two revisions. */
  | { readonly type: "gatewayRevisions"; readonly gateway: { readonly name: string; readonly namespace: string }; readonly canary: string; readonly stable: string }
  /** All requests and connections of the mesh, against none: an absolute limit. */
  | { readonly type: "mesh" }
  /** Connections between probe pods of the revisions, each pair of them. */
  | { readonly type: "probes"; readonly revisions: readonly string[] }
  /** Proxies of one revision's control plane. */
  | { readonly type: "proxies"; readonly revision: string };

export interface WorkloadMatch {
  readonly service: string;
  readonly namespace: string;
}

export function referenceKey(object: ObjectReference): string {
  return `${object.apiVersion}/${object.kind}/${object.namespace ?? ""}/${object.name}`;
}

/** `HTTPRoute istio-system/bookinfo`, for people. */
export function describeReference(object: ObjectReference): string {
  return `${object.kind} ${object.namespace === undefined ? "" : `${object.namespace}/`}${object.name}`;
}
