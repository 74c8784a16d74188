import type { MeshState } from "../state/mesh-state.ts";
import type { Service, Workload } from "../state/model.ts";

/**
 * Guesses the service of a connection, for logs and metrics only. Returns the service that the client names if the
 * workload belongs to it, otherwise the first service with this target port.
 */
export function guessService(
  state: MeshState,
  workload: Workload,
  targetPort: number,
  saidHost: string | undefined,
): Service | undefined {
  const services = state.servicesOf(workload);
  const named = services.find((service) => service.hostname === saidHost);
  if (named !== undefined) return named;
  return services.find((service) => {
    for (const [servicePort, port] of service.ports) {
      if (port === targetPort || state.endpoints(service).get(workload.uid)?.ports.get(servicePort) === targetPort)
        return true;
    }
    return false;
  });
}
