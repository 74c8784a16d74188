import type { Collection } from "../../kube/index.ts";
import { leadAlone, type LeadingControllerOptions } from "../leadership/index.ts";
import type {
  GatewayPlacement,
  ProxyConfigFacts,
  WantedGatewayStatus,
  WantedIngressStatus,
  WantedListenerSetStatus,
  WantedPolicyStatus,
  WantedRouteStatuses,
} from "../model/index.ts";
import { runGatewayDeploymentController } from "./deployment-controller.ts";
import type { ProxySettings } from "./proxy-pod.ts";
import { runGatewayClassController } from "./gateway-class-controller.ts";
import { runStatusWriter } from "./status-writer.ts";

export interface GatewayControllersOptions extends LeadingControllerOptions {
  readonly placements: Collection<GatewayPlacement>;
  readonly gatewayStatuses: Collection<WantedGatewayStatus>;
  readonly listenerSetStatuses: Collection<WantedListenerSetStatus>;
  readonly policyStatuses: Collection<WantedPolicyStatus>;
  readonly routeStatuses: readonly WantedRouteStatuses[];
  readonly ingressStatuses: Collection<WantedIngressStatus>;
  readonly includes: (namespace: string) => boolean;
  readonly proxy: () => ProxySettings;
  readonly onProxyChange: (changed: () => void) => Disposable;
  readonly severalNetworks: boolean;
  readonly proxyConfigs: Collection<ProxyConfigFacts>;
  readonly rootNamespace: () => string;
}

/** Runs the controllers that write to the cluster. Only one replica of a revision runs them at a time. */
export async function runGatewayControllers(options: GatewayControllersOptions, signal: AbortSignal): Promise<void> {
  const {
    revision,
    placements,
    gatewayStatuses,
    listenerSetStatuses,
    policyStatuses,
    routeStatuses,
    ingressStatuses,
    includes,
    proxy,
    onProxyChange,
    severalNetworks,
    proxyConfigs,
    rootNamespace,
    queues,
    clock,
    log,
  } = options;
  await Promise.all([
    leadAlone(options, `istio-gateway-deployment-${revision}`, signal, (leading, client) =>
      runGatewayDeploymentController(
        { client, placements, proxy, onProxyChange, proxyConfigs, rootNamespace, queues, clock, log },
        leading,
      ),
    ),
    leadAlone(options, `istio-gateway-status-leader-${revision}`, signal, async (leading, client) => {
      await Promise.all([
        runStatusWriter(
          {
            client,
            gateways: gatewayStatuses,
            listenerSets: listenerSetStatuses,
            policies: policyStatuses,
            routes: routeStatuses,
            ingresses: ingressStatuses,
            includes,
            queues,
            clock,
            log,
          },
          leading,
        ),
        runGatewayClassController({ client, severalNetworks, queues, clock, log }, leading),
      ]);
    }),
  ]);
}
