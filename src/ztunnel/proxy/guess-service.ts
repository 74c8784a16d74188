import type { MeshState } from "../state/mesh-state.ts";
import type { Service, Workload } from "../state/model.ts";

/**
 * The service that a connection to a workload was meant for: what the client says if the workload is in it, else the
 * first whose target port it is. For logs and metrics only.
 */
export function guessService(
  state: MeshState,
  workload: Workload,
  targetPort: number,
  saidHost: string | undefined,
): Service | undefined {
  const services = state.servicesOf(workload);
  const said = services.find((service) => service.hostname === saidHost);
  if (said !== undefined) return said;
  return services.find((service) => {
    for (const [servicePort, port] of service.ports) {
      if (port === targetPort || state.endpoints(service).get(workload.uid)?.ports.get(servicePort) === targetPort)
        return true;
    }
    return false;
  });
}
