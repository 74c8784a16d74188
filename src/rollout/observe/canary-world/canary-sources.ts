import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { ClusterView } from "../cluster-view.ts";

/** The sources from which a canary's world is read. */
export interface CanarySources {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
}
