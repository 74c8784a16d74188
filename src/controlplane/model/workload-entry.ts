import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import type { CollectionIndex } from "../../kube/index.ts";
import type { Labels, ServicePortFacts, WorkloadEntryFacts } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { labelKeys } from "./selection.ts";

/** The object's labels take precedence over those in its spec. */
export function workloadEntryLabels({ labels, spec }: Pick<WorkloadEntryFacts, "labels" | "spec">): Labels {
  return { ...spec.labels, ...labels };
}

export function workloadEntriesByLabel({ workloadEntries }: MeshInputs): CollectionIndex<WorkloadEntryFacts> {
  return workloadEntries.index("label", (entry) => labelKeys(entry.namespace, workloadEntryLabels(entry)));
}

/**
 * The workload's name: that of the WorkloadGroup that registered it, or else the one in its label, or else the entry's
 * name.
 */
export function workloadNameOfEntry({ annotations, labels, name }: WorkloadEntryFacts): string {
  return annotations[istioAnnotations.autoRegistrationGroup] ?? labels[istioLabels.workloadName] ?? name;
}

/** A name such as `constructor` must not find a property that every JavaScript object has. */
export function portNamed(ports: WorkloadEntryFacts["spec"]["ports"], name: string): number | undefined {
  return Object.hasOwn(ports, name) ? ports[name] : undefined;
}

/**
 * The port of a WorkloadEntry behind a port of a Service. If the Service's target port is a name, it is the entry's
 * port of that name. If it is a number, the entry may replace it by a port with the name of the Service's port.
 */
export function workloadEntryTarget(
  { name, target }: ServicePortFacts,
  ports: WorkloadEntryFacts["spec"]["ports"],
): number | undefined {
  return typeof target === "number" ? (portNamed(ports, name) ?? target) : portNamed(ports, target);
}
