import type { PodFacts, ServicePortFacts } from "../facts.ts";

/** The pod's port behind a Service's port. Undefined if the Service names a port that the pod does not have. */
export function targetPortOf(port: ServicePortFacts, pod: Pick<PodFacts, "containerPorts">): number | undefined {
  if (typeof port.target === "number") return port.target;
  return pod.containerPorts.find((candidate) => candidate.name === port.target && candidate.protocol === port.protocol)
    ?.port;
}
