import { compareQuantities } from "./quantity.ts";
import { amountsOf, wholePodAmounts, type AmountField, type Amounts, type PodAmounts } from "./pod-amounts.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

const computed = ["cpu", "memory"];

/**
 * The QoS class of a pod. It is BestEffort if there are no requests and limits for CPU and memory. It is Guaranteed if
 * every container has limits for CPU and memory that equal the requests. If the pod states resources as a whole, only
 * these amounts matter.
 */
export function qosClassOf(spec: PodAmounts): QosClass {
  const all = partsOf(spec);
  if (all.every(({ requests, limits }) => [requests, limits].every((amounts) => amounts.size === 0)))
    return "BestEffort";
  const isGuaranteed = all.every(({ requests, limits }) =>
    computed.every((name) => {
      const [request, limit] = [requests.get(name), limits.get(name)];
      return limit !== undefined && (request === undefined || compareQuantities(request, limit) === 0);
    }),
  );
  return isGuaranteed ? "Guaranteed" : "Burstable";
}

function partsOf(spec: PodAmounts): readonly Readonly<Record<AmountField, Amounts>>[] {
  if (spec.resources !== undefined)
    return [{ requests: counted(wholePodAmounts(spec, "requests")), limits: counted(wholePodAmounts(spec, "limits")) }];
  return [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ resources }) => ({
    requests: counted(amountsOf(resources?.requests)),
    limits: counted(amountsOf(resources?.limits)),
  }));
}

function counted(amounts: Amounts): Amounts {
  return new Map([...amounts].filter(([name, { nanos }]) => computed.includes(name) && nanos > 0n));
}
