import type { UntypedObject } from "../../api/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  type DaemonSet,
  type Deployment,
  type PodSpec,
} from "../../api/kubernetes/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import type { RenderedInstall } from "./install-input.ts";

/** The images of the control plane, the CNI agent and ztunnel in the registries of the Istio project. */
const istioImage =
  /^(?:(?:docker\.io\/)?istio|gcr\.io\/istio-(?:release|testing)|registry\.istio\.io\/(?:release|testing))\/(?:pilot|install-cni|ztunnel)[:@]/;

/** The workloads of Istio that this installation would replace, because its own have the same names. */
export async function replacedIstio({ components }: RenderedInstall, client: KubeClient): Promise<string[]> {
  const workloads = components
    .flatMap(({ objects }) => objects)
    .filter(({ kind }) => kind === deploymentKind.kind || kind === daemonSetKind.kind);
  const found = await Promise.all(workloads.map(async (workload) => await asIstio(workload, client)));
  return found.filter((text) => text !== undefined);
}

async function asIstio(workload: UntypedObject, client: KubeClient): Promise<string | undefined> {
  const {
    kind,
    metadata: { name = "", namespace },
  } = workload;
  const running = await undefinedIfForbidden<Deployment | DaemonSet | undefined>(
    kind === deploymentKind.kind
      ? client.get(deploymentKind, name, namespace)
      : client.get(daemonSetKind, name, namespace),
  );
  const image = ofIstio(running);
  // In a lab the images of this installation may have Istio's names too.
  if (image === undefined || ofIstio(workload) !== undefined) return undefined;
  return `${kind ?? ""} ${namespace ?? ""}/${name} (${image})`;
}

function ofIstio(workload: UntypedObject | Deployment | DaemonSet | undefined): string | undefined {
  const { template } = (workload?.spec ?? {}) as { readonly template?: { readonly spec?: PodSpec } };
  return template?.spec?.containers.map(({ image = "" }) => image).find((image) => istioImage.test(image));
}
