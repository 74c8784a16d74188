import { namespaceKind } from "../../api/kubernetes/index.ts";
import { sidecarKind, telemetryKind, type Sidecar, type Telemetry } from "../../api/istio/index.ts";
import type { KubernetesObject, Labels } from "../../api/index.ts";
import { labelsText, listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes, type MessageType } from "../message-types.ts";
import {
  isAmbient,
  isAmbientNamespace,
  knowsAllWorkloads,
  namespaceLabels,
  selected,
  workloads,
  type Workload,
} from "../workloads.ts";

export const sidecarSelectorAnalyzer: Analyzer = {
  name: "sidecar.SelectorAnalyzer",
  description: "Sidecars select pods, and no two select the same ones",
  analyze(inventory, report) {
    const sidecars = inventory.of(sidecarKind);
    const selecting = sidecars.filter((sidecar) => Object.keys(labelsOf(sidecar)).length > 0);
    reportUnselected(selecting, inventory, report);
    reportOverlaps(
      withoutAmbient(selecting, inventory, report),
      labelsOf,
      messageTypes.conflictingSidecarWorkloadSelectors,
      inventory,
      report,
    );
    const wide = sidecars.filter((sidecar) => Object.keys(labelsOf(sidecar)).length === 0);
    const effective = wide.filter((sidecar) => {
      const namespace = sidecar.object.metadata.namespace ?? "";
      const isInAmbient =
        inventory.exists(namespaceKind, "", namespace) && isAmbientNamespace(namespaceLabels(inventory, namespace));
      if (isInAmbient)
        report(
          messageTypes.ineffectivePolicy,
          sidecar.resource,
          "metadata.name",
          `has no effect: namespace ${namespace} is ambient, so its pods have no sidecars; remove this object, or limit what the namespace reaches in another way`,
        );
      return !isInAmbient;
    });
    reportSeveral(effective, messageTypes.multipleSidecarsWithoutWorkloadSelectors, report);
  },
};

function labelsOf({ object }: Entry<Sidecar>): Labels {
  return object.spec.workloadSelector?.labels ?? {};
}

function reportUnselected(sidecars: readonly Entry<Sidecar>[], inventory: Inventory, report: Report): void {
  if (!knowsAllWorkloads(inventory)) return;
  for (const sidecar of sidecars) {
    const namespace = sidecar.object.metadata.namespace ?? "";
    if (selected(workloads(inventory), labelsOf(sidecar), namespace).length > 0) continue;
    const [key = ""] = Object.keys(labelsOf(sidecar));
    report(
      messageTypes.referencedResourceNotFound,
      sidecar.resource,
      `spec.workloadSelector.labels.${key}`,
      `selector ${labelsText(labelsOf(sidecar))} matches no pod of namespace ${namespace}, so the Sidecar has no effect; correct the labels, or its namespace`,
    );
  }
}

function withoutAmbient(
  sidecars: readonly Entry<Sidecar>[],
  inventory: Inventory,
  report: Report,
): readonly Entry<Sidecar>[] {
  return sidecars.filter((sidecar) => {
    const ambient = selected(workloads(inventory), labelsOf(sidecar), sidecar.object.metadata.namespace ?? "").find(
      (workload) => isAmbient(workload, inventory),
    );
    if (ambient !== undefined)
      report(
        messageTypes.ineffectivePolicy,
        sidecar.resource,
        "spec.workloadSelector",
        `has no effect on ${ambient.namespace}/${ambient.name}, which is ambient and has no sidecar; remove this object, or limit what the workload reaches in another way`,
      );
    return ambient === undefined;
  });
}

/** Reports two objects of a kind that select the same pod, because it is undefined which one applies. */
function reportOverlaps<Value extends KubernetesObject>(
  entries: readonly Entry<Value>[],
  labels: (entry: Entry<Value>) => Labels,
  type: MessageType,
  inventory: Inventory,
  report: Report,
): void {
  for (const entry of entries) {
    const namespace = entry.object.metadata.namespace ?? "";
    const rivals = entries.filter((other) => other !== entry && other.object.metadata.namespace === namespace);
    const shared = selected(workloads(inventory), labels(entry), namespace).flatMap((workload: Workload) => {
      const names = rivals
        .filter((other) => selected([workload], labels(other)).length > 0)
        .map(({ object }) => object.metadata.name ?? "");
      return names.length === 0 ? [] : [{ workload, names }];
    });
    const [first] = shared;
    if (first === undefined) continue;
    const kind = entry.resource.object.kind ?? "";
    report(
      type,
      entry.resource,
      "metadata.name",
      `${kind} ${listed(first.names)} also select${first.names.length === 1 ? "s" : ""} ${first.workload.isPod ? "pod" : "the pods of"} ${namespace}/${first.workload.name}${shared.length > 1 ? ` and ${shared.length - 1} more` : ""}, and only the oldest has an effect; narrow the selectors, or merge them`,
    );
  }
}

function reportSeveral<Value extends KubernetesObject>(
  entries: readonly Entry<Value>[],
  type: MessageType,
  report: Report,
): void {
  for (const [namespace, same] of Map.groupBy(entries, ({ object }) => object.metadata.namespace ?? "")) {
    if (same.length < 2) continue;
    const names = same.map(({ object }) => object.metadata.name ?? "").toSorted();
    for (const { resource } of same)
      report(
        type,
        resource,
        "metadata.name",
        `${listed(names)} all apply to the whole namespace ${namespace}, and only the oldest has an effect; merge them, or give the others selectors`,
      );
  }
}

export const telemetrySelectorAnalyzer: Analyzer = {
  name: "telemetry.SelectorAnalyzer",
  description: "Telemetries select pods, and no two select the same ones",
  analyze(inventory, report) {
    const telemetries = inventory.of(telemetryKind);
    const selecting = telemetries.filter(({ object }) => object.spec.selector !== undefined);
    const labels = ({ object }: Entry<Telemetry>): Labels => object.spec.selector?.matchLabels ?? {};
    if (knowsAllWorkloads(inventory)) {
      for (const entry of selecting) {
        const namespace = entry.object.metadata.namespace ?? "";
        if (selected(workloads(inventory), labels(entry), namespace).length > 0) continue;
        report(
          messageTypes.referencedResourceNotFound,
          entry.resource,
          "spec.selector.matchLabels",
          `selector ${labelsText(labels(entry))} matches no pod of namespace ${namespace}, so the Telemetry has no effect; correct the labels, or its namespace`,
        );
      }
    }
    reportOverlaps(selecting, labels, messageTypes.conflictingTelemetryWorkloadSelectors, inventory, report);
    reportSeveral(
      telemetries.filter(({ object }) => object.spec.selector === undefined && object.spec.targetRefs.length === 0),
      messageTypes.multipleTelemetriesWithoutWorkloadSelectors,
      report,
    );
  },
};

export const telemetryProviderAnalyzer: Analyzer = {
  name: "telemetry.ProviderAnalyzer",
  description: "Telemetries that turn on access logs have a provider",
  analyze(inventory, report) {
    if ((inventory.options.meshConfig?.defaultAccessLogProviders.length ?? 0) > 0) return;
    for (const { resource, object } of inventory.of(telemetryKind)) {
      for (const [index, { disabled, providers }] of object.spec.accessLogging.entries()) {
        if (disabled === true || providers.length > 0) continue;
        report(
          messageTypes.invalidTelemetryProvider,
          resource,
          `spec.accessLogging[${index}]`,
          `turns on access logs without a provider, and the mesh has no default provider, so nothing is written; add providers: [{name: envoy}], or meshConfig.defaultProviders.accessLogging`,
        );
      }
    }
  },
};
