import { gatewayGroup, type ParentReference } from "../../api/gateway/index.ts";

/** Whether two references name the same parent, or the same section of it. */
export function sameParent(left: Partial<ParentReference>, right: Partial<ParentReference>): boolean {
  return (["group", "kind", "namespace", "name", "sectionName", "port"] as const).every(
    (field) => (left[field] ?? defaults[field]) === (right[field] ?? defaults[field]),
  );
}

const defaults: Partial<ParentReference> = { group: gatewayGroup, kind: "Gateway" };
