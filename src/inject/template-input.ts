import type { Tree } from "../base/index.ts";
import type { CompliancePolicy } from "../base/compliance/index.ts";
import type { Container, Pod, PodSpec, PodWorkload } from "../api/kubernetes/index.ts";
import type { InjectionValues } from "./injection-settings.ts";
import type { MeshForInjection, PodProxyConfig } from "./mesh.ts";

export const proxyContainerName = "istio-proxy";
export const proxyUser = 1337;

export interface TemplateInput {
  readonly pod: Pod;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly owner: PodWorkload;
  readonly values: InjectionValues;
  readonly mesh: MeshForInjection;
  readonly proxyConfig: PodProxyConfig;
  readonly revision: string;
  readonly clusterName: string;
  readonly network: string;
  readonly nativeSidecar: boolean;
  readonly compliance: CompliancePolicy | undefined;
  /** The unparsed values of the configuration. Users' templates read them. */
  readonly valuesTree: Tree;
}

/** The part of a pod that a template adds. */
export interface InjectedPod {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: Partial<PodSpec>;
}

/** The containers of a pod except the proxy. */
export function applicationContainersOf(pod: Pod): Container[] {
  return (pod.spec?.containers ?? []).filter((container) => container.name !== proxyContainerName);
}
