import type { Tree } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import type { Write } from "../../decide/index.ts";
import type { Subject } from "./target-plan.ts";

export interface CanaryWorld {
  /** The digest of the pod template to roll out, for a watched target. */
  readonly candidate?: string;
  readonly idle?: boolean;
  /** Why no run begins, although the candidate differs. If set, `idle` is set too. */
  readonly held?: string;
  /** The write that holds the Deployment again, after somebody has resumed it. */
  readonly resumed?: Extract<Write, { type: "field" }>;
  readonly routes: readonly RouteInWorld[];
  readonly subjects: readonly Subject[];
  /** The ReferenceGrants that are missing, so that routes may use Services of another namespace. */
  readonly missingGrants: readonly MissingGrant[];
  /** For a target of two Services: the ports of the Service whose name clients use. */
  readonly servicePorts?: readonly Tree[];
  readonly deployment?: DeploymentInWorld;
}

/** A list of rules or routes, as it was before the rollout. */
export interface RouteInWorld {
  readonly object: ObjectReference;
  /** `/spec/rules`, `/spec/http`, `/spec/tcp` or `/spec/tls`. */
  readonly pointer: string;
  readonly list: readonly Tree[];
}

export interface MissingGrant {
  /** The route's kind: `HTTPRoute` or `GRPCRoute`. */
  readonly kind: string;
  readonly fromNamespace: string;
  readonly toNamespace: string;
  /** The Service to grant. Absent means all Services of the namespace. */
  readonly service?: string;
  /**
   * What the ReferenceGrant of this Canary's name grants now. An earlier Canary of the name may have left it, or an
   * earlier run with another target. Absent if there is none.
   */
  readonly granted?: readonly Tree[];
}

export interface DeploymentInWorld {
  readonly object: ObjectReference;
  readonly uid: string;
  readonly candidate: string;
  readonly idle: boolean;
  readonly held?: string;
  /** Somebody has resumed the Deployment, although a finished step has paused it. */
  readonly isResumed?: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * The number of pods before the rollout wrote it. While the rollout has not written it, the present number, which an
   * autoscaler or a person may change.
   */
  readonly replicas: number;
  /** The number of pods that the canary copy is to have. Absent if there is no copy. */
  readonly copyReplicas?: number;
  /**
   * Whether the copy has an autoscaler. It may differ from the Deployment in this, because somebody may have made or
   * deleted the Deployment's autoscaler after the copy was made.
   */
  readonly copyIsAutoscaled?: boolean;
  /** The maximum of the copy's autoscaler. */
  readonly copyMaxReplicas?: number;
  readonly selector: Tree;
  readonly spec: Tree;
  /** The template that runs, without the template hash. */
  readonly stableTemplate: Tree;
  readonly stableHash: string;
  /** The template to roll out. It equals the stable template if there is nothing to roll out. */
  readonly candidateTemplate: Tree;
  /** The hash of the candidate's ReplicaSet, which exists only after the Deployment itself rolls. */
  readonly candidateHash?: string;
  readonly service: { readonly ports: readonly Tree[]; readonly selector: Readonly<Record<string, string>> };
  /** The user's DestinationRule for the host, with the subsets that it had before the rollout. */
  readonly destinationRule?: { readonly object: ObjectReference; readonly subsets: readonly Tree[] };
  readonly autoscaler?: UntypedObject;
}
