import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { gatewayClassKind, gatewayKind, httpRouteKind, referenceGrantKind } from "../../api/gateway/index.ts";
import {
  authorizationPolicyKind,
  destinationRuleKind,
  istioGatewayKind,
  peerAuthenticationKind,
  requestAuthenticationKind,
  serviceEntryKind,
  sidecarKind,
  telemetryKind,
  virtualServiceKind,
  workloadEntryKind,
} from "../../api/istio/index.ts";
import { endpointSliceKind, mutatingWebhookConfigurationKind, namespaceKind, nodeKind, podKind, serviceKind } from "../../api/kubernetes/index.ts";
import type { SourceCollection } from "../../kube/index.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { configFacts } from "./config-facts.ts";
import { podFacts } from "./pod-facts.ts";
import { tagFacts } from "./tag-facts.ts";
import { nodeFacts, serviceFacts, sliceFacts } from "./service-facts.ts";

/** How the objects of one kind become facts of the model. */
export interface Feed {
  readonly kind: KindDefinition;
  /** An undefined object is one that was deleted. */
  take(key: string, object: KubernetesObject | undefined): void;
}

/** All kinds that the model is made of. Gateways are taken of every revision: who does not own one still serves it. */
export function createFeeds(inputs: MeshInputs, revision: string): readonly Feed[] {
  return [
    feed(namespaceKind, inputs.namespaces, ({ metadata }) => ({ name: metadata.name ?? "", labels: metadata.labels ?? {} })),
    feed(nodeKind, inputs.nodes, nodeFacts),
    feed(podKind, inputs.pods, podFacts),
    feed(serviceKind, inputs.services, serviceFacts),
    feed(endpointSliceKind, inputs.slices, sliceFacts),
    feed(mutatingWebhookConfigurationKind, inputs.tags, tagFacts),
    feed(gatewayClassKind, inputs.gatewayClasses, ({ metadata, spec }) => ({ name: metadata.name ?? "", controllerName: spec.controllerName })),
    feed(gatewayKind, inputs.gateways, (object) => configFacts(gatewayKind, object, undefined)),
    feed(httpRouteKind, inputs.httpRoutes, (object) => configFacts(httpRouteKind, object, revision)),
    feed(referenceGrantKind, inputs.referenceGrants, (object) => configFacts(referenceGrantKind, object, revision)),
    feed(authorizationPolicyKind, inputs.authorizationPolicies, (object) => configFacts(authorizationPolicyKind, object, revision)),
    feed(peerAuthenticationKind, inputs.peerAuthentications, (object) => configFacts(peerAuthenticationKind, object, revision)),
    feed(virtualServiceKind, inputs.virtualServices, (object) => configFacts(virtualServiceKind, object, revision)),
    feed(destinationRuleKind, inputs.destinationRules, (object) => configFacts(destinationRuleKind, object, revision)),
    feed(istioGatewayKind, inputs.istioGateways, (object) => configFacts(istioGatewayKind, object, revision)),
    feed(serviceEntryKind, inputs.serviceEntries, (object) => configFacts(serviceEntryKind, object, revision)),
    feed(sidecarKind, inputs.sidecars, (object) => configFacts(sidecarKind, object, revision)),
    feed(workloadEntryKind, inputs.workloadEntries, (object) => configFacts(workloadEntryKind, object, revision)),
    feed(requestAuthenticationKind, inputs.requestAuthentications, (object) => configFacts(requestAuthenticationKind, object, revision)),
    feed(telemetryKind, inputs.telemetries, (object) => configFacts(telemetryKind, object, revision)),
  ];
}

function feed<Value extends KubernetesObject, Facts>(kind: KindDefinition<Value>, target: SourceCollection<Facts>, convert: (object: Value) => Facts | undefined): Feed {
  return {
    kind,
    take: (key, object) => {
      const facts = object === undefined ? undefined : convert(object as Value);
      if (facts === undefined) target.delete(key);
      else target.set(key, facts);
    },
  };
}
