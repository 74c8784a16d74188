import {
  automaticallyAddressedHosts,
  istioAnnotations,
  serviceEntryKind,
  workloadEntryKind,
  type ServiceEntry,
  type WorkloadEntry,
} from "../../api/istio/index.ts";
import type { ServiceEntryFacts, WorkloadEntryFacts } from "../model/facts.ts";
import { isAddress } from "../model/ip-address.ts";
import { isTrueText } from "../model/true-text.ts";
import { configFacts, type ConfigRules } from "./config-facts.ts";
import { statedPreference } from "./service-facts.ts";

/** The facts of a ServiceEntry, including the addresses that its status has for its hosts. */
export function serviceEntryFacts(
  object: ServiceEntry,
  rules: ConfigRules<ServiceEntry["spec"]>,
): ServiceEntryFacts | undefined {
  const facts = configFacts(serviceEntryKind, object, rules);
  if (facts === undefined) return undefined;
  const given = (object.status?.addresses ?? []).filter(({ value }) => isAddress(value));
  const allocated = automaticallyAddressedHosts({ metadata: facts, spec: facts.spec }).flatMap((host) => {
    const values = given.filter((entry) => entry.host === host).map(({ value }) => value);
    return values.length === 0 ? [] : [[host, values] as const];
  });
  return {
    ...facts,
    ...statedPreference(object.metadata.annotations),
    ...(allocated.length === 0 ? {} : { allocated: Object.fromEntries(allocated) }),
  };
}

/** An entry with health checks is unhealthy until a probe succeeds. */
export function workloadEntryFacts(
  object: WorkloadEntry,
  rules: ConfigRules<WorkloadEntry["spec"]>,
): WorkloadEntryFacts | undefined {
  const facts = configFacts(workloadEntryKind, object, rules);
  if (facts === undefined) return undefined;
  const isProbed = isTrueText(object.metadata.annotations?.[istioAnnotations.healthChecksEnabled]);
  const isHealthy =
    object.status?.conditions?.some(({ type, status }) => type === "Healthy" && status === "True") ?? false;
  return isProbed && !isHealthy ? { ...facts, unhealthy: true } : facts;
}
