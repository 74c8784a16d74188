import { istioLabels } from "../api/istio/index.ts";
import type { Environment } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import type { PodTemplate } from "../api/kubernetes/index.ts";
import { releaseOfImage } from "../install/index.ts";
import { shadowEnvironment } from "./shadow/shadow-pilot.ts";

/** The new revision's control plane, as its release renders it. */
export interface RenderedControlPlane {
  readonly objects: readonly UntypedObject[];
  readonly namespace: string;
  readonly version: string;
  readonly mesh: string;
  readonly env: Environment;
  readonly injector: { readonly config: string; readonly values: string };
}

export function isControlPlane({ kind, metadata }: UntypedObject): boolean {
  return kind === "Deployment" && metadata.labels?.["app"] === "istiod";
}

/** The control plane of the revision among rendered objects. Undefined if there is none. */
export function controlPlaneOf(objects: readonly UntypedObject[], revision: string): RenderedControlPlane | undefined {
  const deployment = objects.find(
    (object) => isControlPlane(object) && (object.metadata.labels?.[istioLabels.revision] ?? "default") === revision,
  );
  if (deployment === undefined) return undefined;
  const { name = "", namespace = "" } = deployment.metadata;
  const suffix = name.replace(/^istiod/, "");
  const dataOf = (map: string): Readonly<Record<string, string>> => {
    const found = objects.find(
      ({ kind, metadata }) =>
        kind === "ConfigMap" && metadata.name === `${map}${suffix}` && metadata.namespace === namespace,
    );
    return (found?.["data"] as Readonly<Record<string, string>> | undefined) ?? {};
  };
  const template = (deployment["spec"] as { readonly template?: PodTemplate } | undefined)?.template;
  const injector = dataOf("istio-sidecar-injector");
  const image = template?.spec?.containers.find((container) => container.name === "discovery")?.image ?? "";
  return {
    objects,
    namespace,
    version: releaseOfImage(image) ?? "",
    mesh: dataOf("istio")["mesh"] ?? "",
    env: shadowEnvironment(template),
    injector: { config: injector["config"] ?? "", values: injector["values"] ?? "" },
  };
}
