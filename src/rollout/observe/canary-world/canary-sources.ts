import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import type { ClusterView } from "../cluster-view.ts";

export interface CanarySources {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
  /**
   * Reads the journals of the other rollouts that now move a list in which the target names a rule by its position.
   * Call this after reading the list: each change is in the journal before it is in the list. Absent if no other
   * rollout matters.
   */
  readonly others?: () => Promise<readonly (readonly JournalEntry[])[]>;
}
