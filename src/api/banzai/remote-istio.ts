import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { BanzaiStatus } from "./istio.ts";

/**
 * `istio.banzaicloud.io/v1beta1` RemoteIstio: a cluster whose control plane is in another cluster. It is not supported,
 * and its status says so.
 */
export const banzaiRemoteIstioKind = defineKind<KubernetesObject & { status?: BanzaiStatus }>({
  group: "istio.banzaicloud.io",
  versions: ["v1beta1"],
  kind: "RemoteIstio",
  plural: "remoteistios",
  namespaced: true,
});
