import type { PodSpec } from "../../api/kubernetes/index.ts";

/** The images of the control plane, the CNI agent and ztunnel in the registries of the Istio project. */
const istioImage =
  /^(?:(?:docker\.io\/)?istio|gcr\.io\/istio-(?:release|testing)|registry\.istio\.io\/(?:release|testing))\/(?:pilot|install-cni|ztunnel)[:@]/;

/** The remedy for a user who wants to keep Istio: how to install Serin beside it. */
export const besideIstio =
  'give Serin a revision of its own, and leave Istio\'s node agent alone: serin install --set profile=minimal --revision serin (docs/kubernetes.md, "Move from Istio, and back")';

/** The image of a Deployment or DaemonSet of the Istio project. Undefined for others. */
export function istioImageOf(workload: object): string | undefined {
  const { spec } = workload as { readonly spec?: { readonly template?: { readonly spec?: PodSpec } } };
  return spec?.template?.spec?.containers.map(({ image = "" }) => image).find((image) => istioImage.test(image));
}
