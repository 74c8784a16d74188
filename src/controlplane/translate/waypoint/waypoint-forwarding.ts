import type { MeshSettings } from "../../model/facts.ts";
import type { ServiceModel, ServicePortModel } from "../../model/service/service-model.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import { carriedKinds } from "./waypoint-name.ts";

/**
 * The ports of a service that a waypoint accepts. If clients name the host, these are requests to hosts outside the
 * mesh. TLS server names are accepted only if the environment allows it (ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS),
 * because a client may send any name.
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
