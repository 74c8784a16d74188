import type { UntypedObject } from "../../api/index.ts";
import { daemonSetKind, deploymentKind, type DaemonSet, type Deployment } from "../../api/kubernetes/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import { istioImageOf } from "../cluster-readiness/index.ts";
import type { RenderedInstall } from "./install-input.ts";

/** The workloads of Istio that this installation would replace because its own have the same names. */
export async function replacedIstio({ components }: RenderedInstall, client: KubeClient): Promise<string[]> {
  const workloads = components
    .flatMap(({ objects }) => objects)
    .filter(({ kind }) => kind === deploymentKind.kind || kind === daemonSetKind.kind)
    // In a lab, the images of this installation may have the names of Istio's images.
    .filter((workload) => istioImageOf(workload) === undefined);
  const found = await Promise.all(workloads.map(async (workload) => await asIstio(workload, client)));
  return found.filter((text) => text !== undefined);
}

async function asIstio(
  { kind, metadata: { name = "", namespace } }: UntypedObject,
  client: KubeClient,
): Promise<string | undefined> {
  const running = await undefinedIfForbidden<Deployment | DaemonSet | undefined>(
    kind === deploymentKind.kind
      ? client.get(deploymentKind, name, namespace)
      : client.get(daemonSetKind, name, namespace),
  );
  const image = istioImageOf(running ?? {});
  return image === undefined ? undefined : `${kind ?? ""} ${namespace ?? ""}/${name} (${image})`;
}
