import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { BanzaiStatus } from "./istio.ts";

/** `istio.banzaicloud.io/v1beta1` RemoteIstio: a cluster that a control plane of another one looks after. Known, so that it can be answered. */
export const banzaiRemoteIstioKind = defineKind<KubernetesObject & { status?: BanzaiStatus }>({
  group: "istio.banzaicloud.io",
  versions: ["v1beta1"],
  kind: "RemoteIstio",
  plural: "remoteistios",
  namespaced: true,
});
