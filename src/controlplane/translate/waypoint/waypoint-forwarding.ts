import type { MeshSettings } from "../../model/facts.ts";
import type { ServiceModel, ServicePortModel } from "../../model/service/service-model.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import { carriedKinds } from "./waypoint-name.ts";

/**
 * The ports of a service that a waypoint takes. Where clients say themselves which host is meant, these are requests to what is outside of the
 * mesh; server names are taken only where the environment asks for it (ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS), as a client may write any.
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
