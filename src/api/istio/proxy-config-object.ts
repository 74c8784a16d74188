import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { openObject, readText, refuseDryRun, warnOfUnknown } from "./fields.ts";
import { networkingGroup } from "./networking.ts";
import { readWorkloadSelector } from "./policy-target.ts";

/** networking.istio.io ProxyConfig: settings of the proxies of pods that start from now on, over those of the mesh config. */
export interface ProxyConfigObject extends KubernetesObject {
  spec: ProxyConfigObjectSpec;
}

export interface ProxyConfigObjectSpec {
  readonly selector?: LabelSelector | undefined;
  /** Threads; 0: one a core, absent: the mesh's. */
  readonly concurrency?: number | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  /** A kind of image: `default`, `debug`, `distroless`. */
  readonly image?: { readonly imageType: string } | undefined;
}

export function parseProxyConfigObject(raw: unknown): Parsed<ProxyConfigObject> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const image = reader.object("image");
  const spec: ProxyConfigObjectSpec = {
    selector: readWorkloadSelector(reader),
    concurrency: reader.integer("concurrency", 0),
    environmentVariables: reader.stringMap("environmentVariables"),
    image: image === undefined ? undefined : { imageType: readText(image, "imageType") ?? "default" },
  };
  warnOfUnknown(image);
  warnOfUnknown(reader);
  return object.finish(() => ({ ...(raw as ProxyConfigObject), spec }));
}

export const proxyConfigKind = defineKind<ProxyConfigObject>({
  group: networkingGroup,
  versions: ["v1beta1"],
  kind: "ProxyConfig",
  plural: "proxyconfigs",
  namespaced: true,
  parse: parseProxyConfigObject,
});
