import type { MeshSettings } from "../../model/facts.ts";
import type { RouteModel } from "../../model/gateway/gateway-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceShape } from "../../model/routing/virtual-service-shape.ts";
import type { OutboundPort } from "./outbound-port.ts";
import type { ResolvedService } from "./outbound-route.ts";

/**
 * A port of a scope with the objects that its keys name. It contains everything that decides which hosts exist, and
 * nothing that only changes their routes.
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
  readonly aliasesOf: (host: string) => readonly string[];
  /** The host to which an ExternalName Service points, whatever its ports. Undefined for other hosts. */
  readonly targetOf: (alias: string) => string | undefined;
  /** Hosts with consistent hashing, or patterns of such hosts. Their routes differ by client. */
  readonly hashing: readonly string[];
  /** The port's value of `CommonHosts.routed`. Absent if it has not been computed. */
  readonly routed?: string;
}
