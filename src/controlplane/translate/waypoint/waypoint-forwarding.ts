import type { MeshSettings } from "../../model/facts.ts";
import type { ServiceModel, ServicePortModel } from "../../model/service/service-model.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import { carriedKinds } from "./waypoint-name.ts";

/**
 * The ports of a service that a waypoint accepts: all, unless clients name the host of a wildcard. A wildcard must be
 * outside the mesh, and only its ports for HTTP and TLS are accepted. TLS also needs
 * ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS, because a client may send any server name.
 */
export function waypointPortsOf(
  service: ServiceModel,
  { wildcardTlsAtWaypoints }: MeshSettings,
): readonly ServicePortModel[] {
  if (!isForwarded(service)) return service.ports;
  if (!service.meshExternal) return [];
  return service.ports.filter(({ protocol }) =>
    protocol === "tls"
      ? wildcardTlsAtWaypoints === true
      : carriedKinds(protocol).every((carries) => carries === "http"),
  );
}
