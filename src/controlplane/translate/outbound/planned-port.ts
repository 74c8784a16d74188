import type { MeshSettings } from "../../model/facts.ts";
import type { RouteModel } from "../../model/gateway/gateway-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceShape } from "../../model/routing/virtual-service-shape.ts";
import type { OutboundPort } from "./outbound-port.ts";
import type { ResolvedService } from "./outbound-route.ts";

/**
 * A port of a scope with its keys resolved. It contains everything that decides which hosts exist, and nothing that
 * only changes their routes.
 */
export interface PlannedPort {
  readonly port: OutboundPort;
  readonly mesh: MeshSettings;
  readonly services: readonly ResolvedService[];
  readonly virtualServices: readonly VirtualServiceShape[];
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  /** The HTTPRoutes that are attached to a service, for clients of this scope. Undefined if no service has any. */
  readonly httpRoutesOf: ((service: ServiceModel, port: number) => readonly RouteModel[]) | undefined;
  /** The hosts to which ExternalName Services point. */
  readonly aliased: readonly string[];
  /** The ExternalName Services that point to a host. */
  readonly aliasesOf: (host: string) => readonly string[];
  /** The host to which an ExternalName Service points, whatever its ports. Undefined for other hosts. */
  readonly targetOf: (alias: string) => string | undefined;
  /** Hosts, or patterns of hosts, with consistent hashing. Their routes differ by client. */
  readonly hashing: readonly string[];
  /** The value of `CommonHosts.routed` for this port. Absent if it was not computed before. */
  readonly routed?: string;
}
