import type { PodSpec } from "../../api/kubernetes/index.ts";

const istioImage =
  /^(?:(?:docker\.io\/)?istio|gcr\.io\/istio-(?:release|testing)|registry\.istio\.io\/(?:release|testing))\/(?:pilot|install-cni|ztunnel)[:@]/;

/** The remedy for a user who wants to keep Istio: how to install Serin beside it. */
export const besideIstio =
  'give Serin a revision of its own, and leave Istio\'s node agent alone: serin install --set profile=minimal --revision serin (docs/kubernetes.md, "Move from Istio, and back")';

/** The image of the Istio project that the Deployment or DaemonSet runs. Undefined if it runs none. */
export function istioImageOf(workload: object): string | undefined {
  const { spec } = workload as { readonly spec?: { readonly template?: { readonly spec?: PodSpec } } };
  return spec?.template?.spec?.containers.map(({ image = "" }) => image).find((image) => istioImage.test(image));
}
