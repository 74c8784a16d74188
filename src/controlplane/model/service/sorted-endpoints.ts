import { compareText, type Labels, type MeshSettings } from "../facts.ts";
import { localityText, type EndpointModel } from "./service-endpoint-model.ts";
import { isMarkedDraining, keepsDraining } from "./service-session.ts";

/**
 * Marks endpoints whose label says that they drain, so that they get only requests of their sessions. If the service
 * has no sessions, these endpoints are left out.
 */
export function withDraining(
  endpoints: readonly EndpointModel[],
  service: { readonly labels: Labels },
  mesh: MeshSettings,
): readonly EndpointModel[] {
  const isMarked = ({ labels }: EndpointModel): boolean => isMarkedDraining(labels, mesh);
  if (!endpoints.some(isMarked)) return endpoints;
  if (!keepsDraining(service, mesh)) return endpoints.filter((endpoint) => !isMarked(endpoint));
  return endpoints.map((endpoint) => (isMarked(endpoint) ? { ...endpoint, draining: true } : endpoint));
}

/** Sorts endpoints by locality and address, so that equal sets give equal resources. */
export function sortedEndpoints(endpoints: readonly EndpointModel[]): readonly EndpointModel[] {
  return [...endpoints].sort(
    (left, right) =>
      compareText(localityText(left.locality), localityText(right.locality)) ||
      compareText(left.address, right.address) ||
      left.port - right.port ||
      compareText(left.clusterId, right.clusterId),
  );
}
