import { hostCovers } from "../model/service-hostname.ts";
import { serverNamesOf, type GatewayServerModel } from "../model/classic-gateway.ts";
import { destinationRuleFor } from "../model/destination-rule-model.ts";
import { visibleServices } from "../model/service-model.ts";
import type { ClassicGatewayContext } from "./gateway-classic.ts";
import type { GatewayChain } from "./gateway-listener.ts";
import { tcpClusterFilters } from "./virtual-service-tcp.ts";

/** Only what Istio's clients say in ALPN: what comes through here meets mutual TLS at its end. */
const peerProtocols = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/** The name of a service's port in the server name of mutual TLS, and of the cluster that sends such TLS on as it is. */
export function passthroughClusterName(port: number, subset: string | undefined, host: string): string {
  return `outbound_.${port}_.${subset ?? ""}_.${host}`;
}

/** A chain for each port of each service of the mesh that the server's hosts cover, and for each of its subsets. */
export function autoPassthroughChains(server: GatewayServerModel, context: ClassicGatewayContext): readonly GatewayChain[] {
  const { model, mesh, namespace, labels, reader } = context;
  const names = serverNamesOf(server);
  const services = visibleServices(model.registry, namespace, reader).filter(
    (service) => !service.meshExternal && (names.length === 0 || names.some((name) => hostCovers(name, service.hostname))),
  );
  return services.flatMap((service) => {
    const rule = destinationRuleFor(service, { namespace, labels }, mesh, model.destinationRules, reader);
    const subsets = [undefined, ...(rule?.subsets ?? []).map(({ name }) => name)];
    return service.ports.flatMap(({ port }) =>
      subsets.map((subset) => {
        const cluster = passthroughClusterName(port, subset, service.hostname);
        return { serverNames: [cluster], applicationProtocols: peerProtocols, filters: tcpClusterFilters(cluster, { rule, subset, context: { mesh, role: "server", accessLogs: context.accessLogs } }) };
      }),
    );
  });
}
