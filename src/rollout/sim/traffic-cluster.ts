import type { ObjectReference } from "../../api/serin/index.ts";
import type { ModelObject } from "./model-object.ts";

export interface TrafficCluster {
  readonly nowMs: number;
  readonly controlPlaneUp: boolean;
  readonly objects: ReadonlyMap<string, ModelObject>;
  find(object: ObjectReference): ModelObject | undefined;
}
