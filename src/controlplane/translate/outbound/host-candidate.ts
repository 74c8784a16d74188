import { hostCovers } from "../../../api/istio/index.ts";
import { memos } from "../../model/memos.ts";
import { serviceKey, type ServiceModel } from "../../model/service/service-model.ts";
import type { HostClient, HostSource, ServiceReference } from "./outbound-host.ts";
import type { OutboundPort } from "./outbound-port.ts";
import type { ResolvedService } from "./outbound-route.ts";
import type { PlannedPort } from "./planned-port.ts";

export interface Origin {
  readonly source: HostSource;
  readonly key: string;
  /** Returns the origin for another client. Set if the origin depends on the client. */
  readonly forClient?: (client: HostClient) => Origin;
}

export interface Candidate extends Origin {
  readonly service: ServiceModel | undefined;
  readonly host: string;
}

export function referenceOf(service: ServiceModel): ServiceReference {
  return { registry: service.registry, key: serviceKey(service) };
}

/** Distinguishes services with one hostname, which may be in different namespaces and registries. */
export function ownerText({ registry, namespace, variant = "" }: ServiceModel): string {
  return `${registry} ${namespace} ${variant}`;
}

export function ownCandidate({ service, port }: ResolvedService, planned: PlannedPort): Candidate {
  if (mayHash(planned, service.hostname)) {
    const forClient = (client: HostClient): Origin => ({
      source: { from: "service", service: referenceOf(service), port: port.port, client },
      key: `${clientKey(client)} ${ownerText(service)}`,
      forClient,
    });
    return { service, host: service.hostname, ...forClient(clientOf(planned.port)) };
  }
  return ownCandidates.of(service, String(port.port), () => ({
    service,
    host: service.hostname,
    source: { from: "service", service: referenceOf(service), port: port.port, client: undefined },
    key: ownerText(service),
  }));
}

export function mayHash({ hashing }: PlannedPort, host: string): boolean {
  return hashing.some((covering) => hostCovers(covering, host));
}

export function clientOf({ namespace, labels }: OutboundPort): HostClient {
  return { namespace, labels };
}

export function clientKey({ namespace, labels }: HostClient): string {
  return `${namespace} ${JSON.stringify(labels)}`;
}

const ownCandidates = memos.keyed<ServiceModel, Candidate>("host-candidates");
