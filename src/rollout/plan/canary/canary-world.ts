import type { UntypedObject } from "../../../api/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import type { Subject } from "./target-plan.ts";
import type { Fields } from "./traffic.ts";

/** What a canary's plan is made from besides its spec. */
export interface CanaryWorld {
  /** What there is to roll out, of a target that is watched: a digest of the pod template. */
  readonly candidate?: string;
  /** The candidate is what runs: there is nothing to roll out. */
  readonly idle?: boolean;
  /** The user's routes that move. */
  readonly routes: readonly RouteInWorld[];
  readonly subjects: readonly Subject[];
  /** Who may not send to Services of another namespace yet. */
  readonly missingGrants: readonly MissingGrant[];
  /** The ports of the Service whose name clients use, for a target of two Services. */
  readonly servicePorts?: readonly Fields[];
  readonly deployment?: DeploymentInWorld;
}

/** A list of rules or routes as it was before the rollout. */
export interface RouteInWorld {
  readonly object: ObjectReference;
  /** `/spec/rules`, `/spec/http`, `/spec/tcp` or `/spec/tls`. */
  readonly pointer: string;
  readonly list: readonly Fields[];
}

export interface MissingGrant {
  /** `HTTPRoute` or `GRPCRoute`. */
  readonly kind: string;
  readonly fromNamespace: string;
  readonly toNamespace: string;
  /** The one Service; all of the namespace when absent. */
  readonly service?: string;
}

/** A Deployment that the engine holds, and what stands around it. */
export interface DeploymentInWorld {
  readonly object: ObjectReference;
  readonly uid: string;
  /** The digest of the Deployment's template. */
  readonly candidate: string;
  /** The template is the one that runs. */
  readonly idle: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** As before the rollout, or as its autoscaler moves it. */
  readonly replicas: number;
  /** The members of its spec that a copy takes over: strategy, minReadySeconds, … */
  readonly selector: Fields;
  readonly spec: Fields;
  /** The template that runs, without the hash. */
  readonly stableTemplate: Fields;
  readonly stableHash: string;
  /** The template to roll out; the stable one when there is nothing to do. */
  readonly candidateTemplate: Fields;
  /** The hash of the ReplicaSet of the template to roll out, once the Deployment rolls to it. */
  readonly candidateHash?: string;
  readonly service: { readonly ports: readonly Fields[]; readonly selector: Readonly<Record<string, string>> };
  /** A DestinationRule that the user has made for the host, with its subsets as they were before. */
  readonly destinationRule?: { readonly object: ObjectReference; readonly subsets: readonly Fields[] };
  readonly autoscaler?: UntypedObject;
}
