// What all kinds have in common: the form of a kind's definition, metadata, label selectors, and the reader with which
// parsers report faults.
export { meansNoEffect } from "./field-effect.ts";
export { apiVersionOf, defineKind, groupVersionOf, type KindDefinition } from "./kind.ts";
export { formatLabelSelector, matchesLabels, matchesLabelSelector, type Labels } from "./label-selector.ts";
export {
  isMirrorPod,
  keyOf,
  mirrorAnnotation,
  serviceNameLabel,
  type Condition,
  type KubernetesObject,
  type LabelSelector,
  type ManagedFieldsEntry,
  type ObjectMeta,
  type OwnerReference,
  type UntypedObject,
} from "./meta.ts";
export { formatIssues, formatIssuesOf, type FieldIssue, type Parsed } from "./parsed.ts";
export { Reader } from "./reader.ts";
