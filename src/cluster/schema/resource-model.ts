import type { UntypedObject } from "../../api/index.ts";
import type { FieldError, ResourceType, TableColumn } from "./contract.ts";
import type { StructShape } from "./shape.ts";

/** The schema functions of one resource in one version, either built in or custom. */
export interface ResourceModel {
  readonly type: ResourceType;
  readonly shape: StructShape;
  /** Drops unknown fields in place. Returns the paths of these fields. */
  readonly dropUnknownFields: (object: UntypedObject) => readonly string[];
  readonly applyDefaults: (object: UntypedObject) => void;
  readonly validate: (
    object: UntypedObject,
    old: UntypedObject | undefined,
    subresource: string,
  ) => readonly FieldError[];
  readonly columns: () => readonly TableColumn[];
  readonly cells: (object: UntypedObject, nowMs: number) => readonly unknown[];
}
