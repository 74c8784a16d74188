import type { UntypedObject } from "../api/index.ts";
import { istioLabels } from "../api/istio/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import type { InjectedWorkload } from "./static-checks/workloads.ts";

const kindsWithTemplate = ["Deployment", "StatefulSet", "DaemonSet"];

/**
 * The workloads that injection changes. Leaves out gateways of an installation, because the comparison of rendered
 * objects contains them.
 */
export function injectableWorkloads(injected: readonly InjectedWorkload[]): UntypedObject[] {
  return injected.filter(({ pods }) => !pods.every(isInstalledGateway)).flatMap(injectable);
}

function isInstalledGateway({ metadata: { labels = {} } }: Pod): boolean {
  return /^(In|E)gressGateways$/.test(labels[istioLabels.component] ?? "");
}

/**
 * The workload as a release must get it for injection: with the label that requests injection, and without what was
 * injected before.
 */
function injectable({ kind, object, pods }: InjectedWorkload): UntypedObject[] {
  const template = object?.spec?.template;
  if (object === undefined || template === undefined || !kindsWithTemplate.includes(kind)) return [];
  const isNative = pods[0]?.spec?.initContainers?.some(({ name }) => name === "istio-proxy") === true;
  const { name = "", namespace = "" } = object.metadata;
  const labels = { ...template.metadata?.labels, [istioLabels.inject]: "true" };
  const annotations = { ...template.metadata?.annotations, "sidecar.istio.io/nativeSidecar": String(isNative) };
  return [
    {
      apiVersion: "apps/v1",
      kind,
      metadata: { name, namespace },
      spec: { ...object.spec, template: { ...template, metadata: { ...template.metadata, labels, annotations } } },
    },
  ];
}
